"""A bundle as the beginning of a training: its weights, and how much of a recipe they had."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from training.ended import OtherRecipeError
from training.loop import Begun

if TYPE_CHECKING:
    from inference_worker.bundle import Bundle
    from inference_worker.manifest import Manifest
    from training.dataset import Labelled
    from training.recipe import Recipe, SegmenterRecipe


def check(made: Manifest, recipe: Recipe, own: Labelled) -> None:
    """Raise `OtherRecipeError` where `recipe` on `own` does not go on from the bundle `made`.

    The split is the same, lest a member be judged by a photo that it learnt; so are the networks,
    and the first stages are as many epochs as the bundle says of itself.
    """
    said = made.training
    if said.get("data_manifest_sha256") != own.split.sha256:
        raise OtherRecipeError(
            f"{made.name} {made.version} was trained on another split of the data: go on with the "
            "data, the 'split' and the seeds that it was made with"
        )
    specs = [made.classifier.architecture_of(member) for member in made.classifier.members]
    same = specs == [recipe.network(i).classifier for i in range(len(recipe.seeds))]
    unet = made.segmenter.architecture if made.segmenter else None
    named = recipe.segmenter.architecture if recipe.segmenter else None
    if not same or unet != named or made.classifier.outputs != recipe.outputs:
        raise OtherRecipeError(
            f"{made.name} {made.version} holds other networks than the recipe names: go on with "
            "the recipe that it was made by, and stages added to that"
        )
    _stages(made, recipe)


def member(made: Bundle, recipe: Recipe, fold: int) -> Begun:
    """Return what the member that leaves `fold` out goes on from."""
    return Begun(made.members[fold].state_dict(), _stages(made.manifest, recipe))


def segmenter(made: Bundle, spec: SegmenterRecipe) -> Begun | None:
    """Return what the segmenter goes on from; of its stages a bundle says nothing: all are done."""
    if made.segmenter is None:
        return None
    return Begun(made.segmenter.state_dict(), len(spec.schedule.stages))


def _stages(made: Manifest, recipe: Recipe) -> int:
    """Return how many of the recipe's first stages the bundle had. Raises `OtherRecipeError`."""
    epochs = list(itertools.accumulate(stage.epochs for stage in recipe.schedule.stages))
    had = made.training.get("epochs")
    if had not in epochs:
        raise OtherRecipeError(
            f"{made.name} {made.version} was trained for {had} epochs, and no first stages of the "
            f"recipe are as many (they end after {epochs}): go on with its own stages, and add one "
            "with 'restart: true'"
        )
    return epochs.index(had) + 1
