"""Which data sets a recipe cannot do without, looked for before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training import readers, source

if TYPE_CHECKING:
    from pathlib import Path

    from training.recipe import Recipe


def sets(recipe: Recipe) -> tuple[str, ...]:
    """Return the data sets that training or export reads; `further` ones are done without."""
    data, segmenter = recipe.data, recipe.segmenter
    named = (data.labelled, data.crops, data.partial, segmenter.extra if segmenter else None)
    return tuple(dict.fromkeys(name for name in (*named, recipe.sharpened_by) if name))


def missing(recipe: Recipe, data: Path) -> list[str]:
    """Return which of them are not in the folder `data`."""
    return [
        name for name in sets(recipe) if not source.at_hand(data, name.removeprefix(readers.FOLDER))
    ]


def check(recipe: Recipe, data: Path) -> None:
    """Raise `DataError` where a set is not in `data`, or not as its reader expects it.

    Also for what is read last, at export: after hours of training it would be too late.
    """
    for name in missing(recipe, data):
        place = data / name.removeprefix(readers.FOLDER)
        raise readers.DataError(
            f"no data set at {place} or {place}.zip: the recipe {recipe.name!r} needs {name!r} "
            "before its bundle can be made. Put it there (docs/training.md says how it is laid "
            "out), or leave it out of the recipe"
        )
    for name in sets(recipe):
        readers.read(data, name)
