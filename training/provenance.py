"""What a bundle was made from: recipe, split, data sets with their licences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training import readers
from training.fit import filled, held_out_ids

if TYPE_CHECKING:
    from training.dataset import Labelled
    from training.fit import Run


def record(run: Run, own: Labelled, recipe_sha256: str, best_member: int) -> dict[str, Any]:
    """Return what the bundle was made from."""
    recipe = run.recipe
    development = len(own.split.development)
    folds = recipe.split.folds
    stages = filled(
        recipe.schedule.stages, development * (folds - 1) // folds, recipe.schedule.optimiser.batch
    )
    return {
        "recipe": recipe.name,
        "recipe_sha256": recipe_sha256,
        "data_manifest_sha256": own.split.sha256,
        "split": {
            "test_share": recipe.split.test_share,
            "folds": recipe.split.folds,
            "seed": recipe.split.seed,
            "by": recipe.split.by,
        },
        "seeds": list(recipe.seeds),
        "epochs": sum(stage.epochs for stage in stages),
        "photos_drawn_per_member": sum(stage.epochs * stage.images for stage in stages),
        "best_member": best_member,
        "initial_weights": sorted(
            {recipe.network(m).init or "random" for m in range(len(recipe.seeds))}
        ),
        "data": _sources(run, own),
        "smoke": run.smoke,
    }


def _sources(run: Run, own: Labelled) -> list[dict[str, object]]:
    """Return each data set that was trained on: its licence, how many photos, of how many lesions.

    Where a data set knows no lesions, each photo counts as one.
    """
    recipe = run.recipe
    development = [own.records[i] for i in own.split.development]
    lesion = {record.image_id: record.lesion_id for record in development}
    found = {recipe.data.labelled: list(lesion.values())}
    if recipe.data.crops is not None:
        crops = readers.read(run.data, recipe.data.crops)
        found[recipe.data.crops] = [lesion[r.image_id] for r in crops if r.image_id in lesion]
    if recipe.data.partial is not None:
        partial = readers.read(run.data, recipe.data.partial)
        found[recipe.data.partial] = [record.lesion_id for record in partial]
    if recipe.segmenter is not None and recipe.segmenter.extra is not None:
        extra = [r for r in readers.read(run.data, recipe.segmenter.extra) if r.mask_path]
        held_out = held_out_ids([r.image_id for r in extra], recipe.segmenter)
        kept = [r.lesion_id for r in extra if r.image_id not in held_out]
        found[recipe.segmenter.extra] = kept
    return [
        {
            "name": name,
            "licence": recipe.licences.get(name, "unknown"),
            "images": len(lesions),
            "lesions": len(set(lesions)),
        }
        for name, lesions in found.items()
    ]
