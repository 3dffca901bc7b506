"""What a bundle was made from: recipe, split, data sets with their licences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training import begun
from training.fit import filled
from training.learned import learned

if TYPE_CHECKING:
    from inference_worker.manifest import Segmenter
    from training.dataset import Labelled
    from training.fit import Run
    from training.lent import Lent


def record(
    run: Run,
    own: Labelled,
    others: Lent,
    recipe_sha256: str,
    best_member: int,
    segmenter: Segmenter | None,
) -> dict[str, Any]:
    """Return what the bundle was made from, `segmenter` as it stands there."""
    recipe = run.recipe
    development = len(own.split.development)
    folds = recipe.split.folds
    further = len(others.trainable(own.split.test)[0])
    stages = filled(
        recipe.schedule.stages,
        development * (folds - 1) // folds + further,
        recipe.schedule.optimiser.batch,
    )
    photos = learned(run, own, others, segmenter)
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
        "data": photos.data,
        begun.NOT_KNOWN: photos.not_known,
        "smoke": run.smoke,
    }
