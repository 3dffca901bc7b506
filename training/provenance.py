"""What a bundle was made from: recipe, split, data sets with their licences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training import begun, masked, readers
from training.fit import filled

if TYPE_CHECKING:
    from training.dataset import Labelled
    from training.fit import Run
    from training.lent import Lent


def record(
    run: Run, own: Labelled, others: Lent, recipe_sha256: str, best_member: int
) -> dict[str, Any]:
    """Return what the bundle was made from."""
    recipe = run.recipe
    development = len(own.split.development)
    folds = recipe.split.folds
    further = len(others.trainable(own.split.test)[0])
    stages = filled(
        recipe.schedule.stages,
        development * (folds - 1) // folds + further,
        recipe.schedule.optimiser.batch,
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
        "begun_with": begun.told(run.out),
        "data": _sources(run, own, others),
        "smoke": run.smoke,
    }


def _sources(run: Run, own: Labelled, others: Lent) -> list[dict[str, object]]:
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
    kept = others.trainable(own.split.test)
    named = {name.removeprefix(readers.FOLDER): name for name in recipe.data.further}
    for records, rows in zip((others.further, others.partial), kept, strict=True):
        for record in (records[i] for i in rows):
            name = named.get(record.source, record.source)
            found.setdefault(name, []).append(record.lesion_id)
    if recipe.segmenter is not None and recipe.segmenter.extra is not None:
        parts = masked.masked(recipe, recipe.segmenter, own, run.data, few=run.few)
        found[recipe.segmenter.extra] = [
            r.lesion_id for r in parts.records if r.source == recipe.segmenter.extra
        ]
    return [
        {
            "name": name,
            "licence": recipe.licences.get(name, "unknown"),
            "images": len(lesions),
            "lesions": len(set(lesions)),
        }
        for name, lesions in found.items()
    ]
