"""What other data sets lend to a training: no copies, and nothing of what is held out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from training import duplicates, readers, source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.dataset import Labelled
    from training.readers import Record
    from training.recipe import Recipe

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lent:
    """Photos of other data sets, each of them once, and none that the labelled set has itself.

    `further` are fully labelled, `partial` say melanoma yes or no. `lesion` is each one's lesion,
    `own` that of each labelled photo, in the same numbers.
    """

    further: list[Record]
    partial: list[Record]
    further_lesion: NDArray[np.int64]
    partial_lesion: NDArray[np.int64]
    own: NDArray[np.int64]

    def trainable(self, held_out: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which of `further` and of `partial` show no lesion of the labelled `held_out`."""
        closed = self.own[np.array(held_out, np.int64)]
        return (
            np.flatnonzero(~np.isin(self.further_lesion, closed)),
            np.flatnonzero(~np.isin(self.partial_lesion, closed)),
        )


def lent(recipe: Recipe, own: Labelled, data: Path, *, few: int | None = None) -> Lent:
    """Read what the recipe takes from other data sets, at most `few` photos of each.

    A further set that is not at hand is done without, and a line says so. Raises `DataError`.
    """
    further: list[Record] = []
    for name in recipe.data.further:
        if source.at_hand(data, name.removeprefix(readers.FOLDER)):
            further += readers.read(data, name)[:few]
        else:
            logger.warning("%s is not in %s: trained without it", name, data)
    recipe.labels.of(further)  # an unknown diagnosis is named before anything is decoded
    partial = readers.read(data, recipe.data.partial)[:few] if recipe.data.partial else []
    if not further and not partial:
        none = np.zeros(0, np.int64)
        return Lent([], [], none, none, np.arange(len(own.records)))
    everything = [*own.records, *further, *partial]
    asked = recipe.data.near_duplicates
    distance = duplicates.DISTANCE if asked is None else asked
    kin = duplicates.kin(everything, data, distance, recipe.workers)
    first = np.zeros(len(everything), np.bool_)
    first[np.unique(kin.photo, return_index=True)[1]] = True
    n, m = len(own.records), len(own.records) + len(further)
    at_further, at_partial = np.flatnonzero(first[n:m]) + n, np.flatnonzero(first[m:]) + m
    return Lent(
        further=[everything[i] for i in at_further],
        partial=[everything[i] for i in at_partial],
        further_lesion=kin.lesion[at_further],
        partial_lesion=kin.lesion[at_partial],
        own=kin.lesion[:n],
    )
