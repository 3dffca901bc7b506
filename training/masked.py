"""The photos with masks that a segmenter is trained on, watched by and tested on: three parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from training import duplicates, readers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from training.dataset import Labelled
    from training.readers import Record
    from training.recipe import Recipe, SegmenterRecipe


class TooFewMasksError(readers.DataError):
    """There are not enough photos with masks for a training and a validation part."""


@dataclass(frozen=True, slots=True)
class Masked:
    """Photos with masks to learn from: `records`, and which of them `train` and `validation` are.

    `test` are photos of the segmenter's extra data set, read once. No photo that is nearly one of
    a test part, or shows a lesion of one, is among the `records`.
    """

    records: list[Record]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: list[Record]


def masked(
    recipe: Recipe, spec: SegmenterRecipe, own: Labelled, data: Path, *, few: int | None = None
) -> Masked:
    """Divide the development photos with masks, and at most `few` of the extra ones.

    Lesions and near-duplicates stay together (`duplicates.kin`). Raises `DataError`.
    """
    extra, test = extra_parts(spec, data, few=few)
    tested = [own.records[i] for i in own.split.test if own.records[i].mask_path] + test
    free = [own.records[i] for i in own.split.development if own.records[i].mask_path] + extra
    kin = duplicates.kin([*tested, *free], data, duplicates.DISTANCE, recipe.workers)
    group = kin.lesion[len(tested) :]
    kept = np.flatnonzero(~np.isin(group, kin.lesion[: len(tested)]))
    chosen = _share(group[kept], spec.validation, spec.seed)
    if chosen.all() or not chosen.any():
        raise TooFewMasksError(
            f"{len(kept)} photos with masks are too few to learn from {1 - spec.validation:.0%} "
            "and watch by the rest: name a data set with masks in the segmenter's 'extra'"
        )
    records = [free[i] for i in kept]
    return Masked(records, np.flatnonzero(~chosen), np.flatnonzero(chosen), test)


def extra_parts(
    spec: SegmenterRecipe, data: Path, *, few: int | None = None
) -> tuple[list[Record], list[Record]]:
    """Return the extra photos with masks to learn from, and those for the test."""
    if spec.extra is None:
        return [], []
    records = [r for r in readers.read(data, spec.extra) if r.mask_path][:few]
    ids = sorted(r.image_id for r in records)
    chosen = np.random.default_rng(spec.seed).permutation(ids)[: round(len(ids) * spec.held_out)]
    held_out = set(chosen.tolist())
    return (
        [r for r in records if r.image_id not in held_out],
        [r for r in records if r.image_id in held_out],
    )


def _share(group: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """Choose whole groups at random, till `share` of the photos is among them."""
    names, count = np.unique(group, return_counts=True)
    order = np.random.default_rng((seed, 1)).permutation(len(names))
    before = np.cumsum(count[order]) - count[order]
    return np.isin(group, names[order][before < share * len(group)])
