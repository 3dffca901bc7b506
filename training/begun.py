"""A bundle as the beginning of a training: its weights, and how much of a recipe they had."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from training.ended import OtherRecipeError
from training.loop import CHECKPOINT, Begun

if TYPE_CHECKING:
    from pathlib import Path

    from inference_worker.bundle import Bundle
    from inference_worker.manifest import Manifest
    from training.dataset import Labelled
    from training.recipe import Recipe, SegmenterRecipe

BEGUN: Final = "begun.json"

NOT_KNOWN: Final = "photos_not_known_of"
"""Under this name a bundle lists the networks that came from photos of which nothing is known."""

_NAMED: Final = ("name", "version", "sha256")


@dataclass(frozen=True, slots=True)
class Before:
    """What the bundle that is gone on from says of its weights.

    `data` are the sets that they learned from, as `provenance` tells them, `not_known` the networks
    of which that is not known; `segmenter` is the SHA-256 of that network's file, None where it was
    not noted.
    """

    data: tuple[dict[str, Any], ...] = ()
    not_known: tuple[str, ...] = ()
    segmenter: str | None = None


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
    if recipe.segmenter and any(stage.restart for stage in recipe.segmenter.schedule.stages):
        raise OtherRecipeError(
            "a bundle does not say how long its segmenter was trained, and it is taken as it is: "
            "leave stages that restart out of the segmenter's schedule"
        )
    _stages(made, recipe)


def note(made: Bundle | None, out: Path) -> None:
    """Write into the run folder `out` what it begins with; nothing where that is no bundle.

    Raises `OtherRecipeError` where the run was begun otherwise: its members would not be alike.
    """
    said = told(out)
    here = _named(made) if made else None
    if said is not None and said != here:
        raise OtherRecipeError(
            f"the run in {out} was begun with {said['name']} {said['version']} "
            f"({said['sha256'][:12]}…): go on with '--from' and that, or train into another folder"
        )
    if said is None and made is not None:
        if any(out.glob(f"*/{CHECKPOINT}")):
            raise OtherRecipeError(
                f"the run in {out} was not begun with a bundle: go on without '--from', or train "
                "into another folder"
            )
        (out / BEGUN).write_text(json.dumps({**_named(made), **_told_of(made)}, indent=1))


def told(out: Path) -> dict[str, str] | None:
    """Return the name, version and SHA-256 of the bundle that the run in `out` was begun with."""
    found = _read(out)
    return {key: found[key] for key in _NAMED} if found else None


def before(out: Path) -> Before | None:
    """Return what the bundle that the run in `out` was begun with says; None without one.

    Earlier versions noted its name alone: then nothing more is known of it.
    """
    found = _read(out)
    if found is None:
        return None
    data, not_known = tuple(found.get("data", ())), tuple(found.get(NOT_KNOWN, ()))
    return Before(data, not_known, found.get("segmenter"))


def _read(out: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((out / BEGUN).read_text())
    except FileNotFoundError:
        return None
    return found


def _named(made: Bundle) -> dict[str, str]:
    return {"name": made.manifest.name, "version": made.manifest.version, "sha256": made.sha256}


def _told_of(made: Bundle) -> dict[str, Any]:
    said, segmenter = made.manifest.training, made.manifest.segmenter
    return {
        "data": said.get("data", []),
        NOT_KNOWN: said.get(NOT_KNOWN, []),
        "segmenter": segmenter.sha256 if segmenter else None,
    }


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
