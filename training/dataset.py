"""From a recipe and a data folder to the photos, labels and parts that training and tests use."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from training import cache, duplicates, readers, splits
from training.tasks import Pool

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from training.readers import Record
    from training.recipe import Recipe
    from training.splits import Split

SMOKE_PHOTOS: Final = 32

_LANDSCAPE: Final = 4 / 3


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labelled photos: `records`, their column numbers `labels` and their `split`."""

    records: list[Record]
    labels: NDArray[np.int64]
    split: Split

    def lesions(self, rows: list[int] | NDArray[np.int64]) -> NDArray[np.str_]:
        """Return the lesion of each of `rows`."""
        return np.array([self.records[i].lesion_id for i in rows])


def labelled(recipe: Recipe, data: Path, *, smoke: bool = False) -> Labelled:
    """Read and split the recipe's labelled data; `smoke` keeps few photos of each class."""
    records = readers.read(data, recipe.data.labelled)
    if smoke:
        records = _few(records)
    if recipe.data.near_duplicates is not None:
        records = duplicates.merge(records, data, recipe.data.near_duplicates)
    cut = splits.by_lesion if recipe.split.by == "lesion" else splits.by_image
    split = cut(
        records,
        test_share=recipe.split.test_share,
        folds=recipe.split.folds,
        seed=recipe.split.seed,
    )
    return Labelled(records, recipe.labels.of(records), split)


def pools(
    recipe: Recipe, own: Labelled, fold: int, *, data: Path, cache_dir: Path, smoke: bool = False
) -> tuple[list[Pool], list[float]]:
    """Return what the member validated on `fold` draws from, and in which shares."""
    rows = np.array(own.split.train(fold))
    pixels = photos(recipe, own.records, data=data, cache_dir=cache_dir)
    weight = _class_weights(own.labels[rows], recipe.data.class_power)
    one_hot = np.eye(len(recipe.labels.columns), dtype=np.bool_)
    aspect = np.full(len(rows), _LANDSCAPE)
    found = [Pool(pixels, rows, one_hot[own.labels[rows]], weight, aspect)]
    shares = [1 - recipe.data.crop_share - recipe.data.partial_share]
    if recipe.data.crops is not None:
        at = {own.records[i].image_id: k for k, i in enumerate(rows)}
        whole = {record.image_id for record in own.records}
        crops = [r for r in readers.read(data, recipe.data.crops) if r.image_id in whole]
        pixels = photos(recipe, crops, data=data, cache_dir=cache_dir)
        kept = np.array([i for i, r in enumerate(crops) if r.image_id in at])
        same = np.array([at[crops[i].image_id] for i in kept])
        found.append(Pool(pixels, kept, found[0].allowed[same], weight[same], np.ones(len(kept))))
        shares.append(recipe.data.crop_share)
    if recipe.data.partial is not None:
        partial = readers.read(data, recipe.data.partial)
        partial = partial[:SMOKE_PHOTOS] if smoke else partial
        pixels = photos(recipe, partial, data=data, cache_dir=cache_dir)
        n = len(partial)
        allowed = np.stack([recipe.labels.allowed(record) for record in partial])
        found.append(Pool(pixels, np.arange(n), allowed, np.ones(n), np.full(n, _LANDSCAPE)))
        shares.append(recipe.data.partial_share)
    return found, [share / sum(shares) for share in shares]


def counts(recipe: Recipe, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many photos each of the recipe's columns has."""
    return np.bincount(labels, minlength=len(recipe.labels.columns))


def adjustment(recipe: Recipe, labels: NDArray[np.int64]) -> Tensor:
    """Return log(prior as sampled / true prior) per column, for `partial_cross_entropy`."""
    count = counts(recipe, labels).astype(np.float64)
    true = count / count.sum()
    sampled = count**recipe.data.class_power
    return torch.from_numpy(np.log(sampled / sampled.sum() / true)).float()


def photos(
    recipe: Recipe, records: list[Record], *, data: Path, cache_dir: Path
) -> NDArray[np.uint8]:
    """Return the photos as the network is to see them, at the recipe's `cache_size`."""
    return cache.photos(
        records, data=data, cache=cache_dir, size=recipe.cache_size, steps=recipe.steps
    )


def _class_weights(labels: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    count = np.bincount(labels).astype(np.float64)
    weight: NDArray[np.float64] = count[labels] ** (power - 1)
    return weight


def _few(records: list[Record]) -> list[Record]:
    """Keep the first photos of distinct lesions of each diagnosis, `SMOKE_PHOTOS` in all."""
    kept, seen, count = [], set(), Counter[str]()
    each = SMOKE_PHOTOS // len({record.dx for record in records})
    for record in records:
        dx = str(record.dx)
        if record.lesion_id not in seen and count[dx] < each:
            kept.append(record)
            seen.add(record.lesion_id)
            count[dx] += 1
    return kept
