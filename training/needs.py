"""Which data sets a recipe cannot do without, looked for before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training import readers, source

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from training.recipe import Recipe


def sets(recipe: Recipe, only: Collection[str] = ()) -> tuple[str, ...]:
    """Return the data sets that training or export reads; `further` ones are done without.

    With `only`, those that these parts are trained on: the export is another command's then.
    """
    data = recipe.data
    named = [data.labelled, data.crops, data.partial]
    if recipe.segmenter is not None and (not only or "segmenter" in only):
        named.append(recipe.segmenter.extra)
    if not only:
        named.append(recipe.sharpened_by)
    return tuple(dict.fromkeys(name for name in named if name))


def missing(recipe: Recipe, data: Path, only: Collection[str] = ()) -> list[str]:
    """Return which of them are not in the folder `data`."""
    return [
        name
        for name in sets(recipe, only)
        if not source.at_hand(data, name.removeprefix(readers.FOLDER))
    ]


def check(recipe: Recipe, data: Path, only: Collection[str] = ()) -> None:
    """Raise `DataError` where a set is not in `data`, or not as its reader expects it.

    Also for what is read last, at export: after hours of training it would be too late.
    """
    for name in missing(recipe, data, only):
        place = data / name.removeprefix(readers.FOLDER)
        raise readers.DataError(
            f"no data set at {place} or {place}.zip: the recipe {recipe.name!r} needs {name!r} "
            "before its bundle can be made. Put it there (docs/training.md says how it is laid "
            "out), or leave it out of the recipe"
        )
    for name in sets(recipe, only):
        readers.read(data, name)
