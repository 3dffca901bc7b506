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
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from training.cache import Decoded
    from training.lent import Lent
    from training.readers import Record
    from training.recipe import Recipe
    from training.splits import Split

SMOKE_PHOTOS: Final = 32
"""How many photos of each data set a training at smoke size reads at most."""
_SMOKE_LESIONS: Final = 4
"""Of each diagnosis at least: one to test, and one or two of each of two folds."""
WATCHED: Final = 0.1
"""The share of a member's own training lesions by which it is watched, where that decides."""


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
    distance = recipe.data.near_duplicates
    if distance is None and not readers.knows_lesions(recipe.data.labelled):
        distance = duplicates.DISTANCE
    if distance is not None:
        records = duplicates.merge(records, data, distance, recipe.workers)
    cut = splits.by_lesion if recipe.split.by == "lesion" else splits.by_image
    split = cut(
        records,
        test_share=recipe.split.test_share,
        folds=recipe.split.folds,
        seed=recipe.split.seed,
    )
    return Labelled(records, recipe.labels.of(records), split)


@dataclass(frozen=True, slots=True)
class Parts:
    """The labelled photos that a member learns from, and those that its training is watched by."""

    train: list[int]
    watched: list[int]


def parts(recipe: Recipe, own: Labelled, fold: int) -> Parts:
    """Return the parts of the member that leaves `fold` out.

    By default it is watched by that fold, and nothing follows from it. Where a recipe chooses its
    weights by a figure (`monitor`), it is one of a share of the other folds: the gate is certified
    on the fold that is left out, and nothing may have been chosen by that. Raises `SplitError`
    where no lesion can be spared for it.
    """
    rows = own.split.train(fold)
    if recipe.schedule.optimiser.monitor is None:
        return Parts(rows, own.split.of(fold))
    learnt, watched = splits.share(own.records, rows, WATCHED, recipe.split.seed)
    if not watched:
        raise splits.SplitError(
            f"the schedule watches {recipe.schedule.optimiser.monitor!r}, and no diagnosis has two "
            f"lesions to train on outside fold {fold}: give more photos, or leave 'monitor' out"
        )
    return Parts(learnt, watched)


def pools(
    recipe: Recipe, own: Labelled, fold: int, others: Lent, *, data: Path, cache_dir: Path
) -> tuple[list[Pool], list[float]]:
    """Return what the member that leaves `fold` out draws from, and in which shares.

    The labelled photos first, their `pixels` of all parts. Further labelled photos share with these
    what crops and partial labels leave, by their numbers.
    """
    divided = parts(recipe, own, fold)
    rows = np.array(divided.train)
    trainable = others.trainable([*own.split.test, *own.split.of(fold), *divided.watched])
    first = decoded(recipe, own.records, data=data, cache_dir=cache_dir)
    one_hot = np.eye(len(recipe.labels.columns), dtype=np.bool_)
    weight = _class_weights(own.labels[rows], recipe.data.class_power)
    found = [Pool(first.pixels, rows, one_hot[own.labels[rows]], weight, first.aspect[rows])]
    left = 1 - recipe.data.crop_share - recipe.data.partial_share
    shares = [left * len(rows) / (len(rows) + len(trainable[0]))]
    if len(trainable[0]):
        kept = trainable[0]
        photos = decoded(recipe, others.further, data=data, cache_dir=cache_dir)
        labels = recipe.labels.of(others.further)[kept]
        weight = _class_weights(labels, recipe.data.class_power)
        found.append(Pool(photos.pixels, kept, one_hot[labels], weight, photos.aspect[kept]))
        shares.append(left - shares[0])
    if recipe.data.crops is not None:
        found.append(_crops(recipe, own, found[0], data=data, cache_dir=cache_dir))
        shares.append(recipe.data.crop_share)
    if len(trainable[1]):
        kept = trainable[1]
        photos = decoded(recipe, others.partial, data=data, cache_dir=cache_dir)
        allowed = np.stack([recipe.labels.allowed(others.partial[i]) for i in kept])
        found.append(Pool(photos.pixels, kept, allowed, np.ones(len(kept)), photos.aspect[kept]))
        shares.append(recipe.data.partial_share)
    return found, [share / sum(shares) for share in shares]


def counts(pools: Sequence[Pool]) -> NDArray[np.int64]:
    """Return how many fully labelled photos each of the recipe's columns has.

    Second views (crops) of a photo do not count, nor does a label that allows several columns.
    """
    first, *rest = (pool for pool in pools if not pool.views and pool.allowed.sum(1).max() == 1)
    return np.asarray(sum((p.allowed.sum(0) for p in rest), first.allowed.sum(0)), np.int64)


def adjustment(pools: Sequence[Pool], shares: Sequence[float]) -> Tensor:
    """Return log(prior as sampled / true prior) per column, for `partial_cross_entropy`.

    The true prior is that of the labelled photos, the first pool. As sampled: each pool by its
    share, each photo by its weight; a label that allows several columns counts for these by the
    true prior. A column without photos is not adjusted.
    """
    count = pools[0].allowed.sum(0).astype(np.float64)
    true = count / count.sum()
    sampled = np.zeros_like(true)
    for pool, share in zip(pools, shares, strict=True):
        expected = pool.allowed * true
        expected = expected / expected.sum(1, keepdims=True).clip(min=np.finfo(np.float64).tiny)
        sampled += share * (pool.weight / pool.weight.sum()) @ expected
    seen = (true > 0) & (sampled > 0)
    ratio = np.divide(sampled, true, out=np.ones_like(true), where=seen)
    return torch.from_numpy(np.log(ratio)).float()


def decoded(recipe: Recipe, records: list[Record], *, data: Path, cache_dir: Path) -> Decoded:
    """Return the photos as the network is to see them, at the recipe's `cache_size`."""
    return cache.decoded(
        records,
        data=data,
        cache=cache_dir,
        size=recipe.cache_size,
        steps=recipe.steps,
        workers=recipe.workers,
    )


def _crops(recipe: Recipe, own: Labelled, whole: Pool, *, data: Path, cache_dir: Path) -> Pool:
    """Return second views of the photos of the pool `whole`, labelled and drawn as they are."""
    at = {own.records[i].image_id: k for k, i in enumerate(whole.rows)}
    known = {record.image_id for record in own.records}
    crops = [r for r in readers.read(data, str(recipe.data.crops)) if r.image_id in known]
    photos = decoded(recipe, crops, data=data, cache_dir=cache_dir)
    kept = np.array([i for i, r in enumerate(crops) if r.image_id in at])
    same = np.array([at[crops[i].image_id] for i in kept])
    allowed, weight = whole.allowed[same], whole.weight[same]
    return Pool(photos.pixels, kept, allowed, weight, photos.aspect[kept], views=True)


def _class_weights(labels: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    count = np.bincount(labels).astype(np.float64)
    weight: NDArray[np.float64] = count[labels] ** (power - 1)
    return weight


def _few(records: list[Record]) -> list[Record]:
    """Keep the first photos of distinct lesions of each diagnosis, `SMOKE_PHOTOS` of seven.

    What is over goes to melanoma first, then by name, one each: of a fifth lesion each fold has one
    to learn and one to watch, and what is watched has to show both kinds.
    """
    names = sorted({str(record.dx) for record in records}, key=lambda dx: (dx != "mel", dx))
    each, over = divmod(SMOKE_PHOTOS, len(names))
    most = {dx: max(each + (i < over), _SMOKE_LESIONS) for i, dx in enumerate(names)}
    kept, seen, count = [], set(), Counter[str]()
    for record in records:
        dx = str(record.dx)
        if record.lesion_id not in seen and count[dx] < most[dx]:
            kept.append(record)
            seen.add(record.lesion_id)
            count[dx] += 1
    return kept
