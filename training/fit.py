"""Train a recipe's networks into a run folder, one after the other, each resumable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from inference_worker.verdict import CLASSES, MALIGNANT_CLASSES
from training import cache, dataset, loop, networks, readers
from training.tasks import ClassifierTask, SegmenterTask

if TYPE_CHECKING:
    from pathlib import Path

    from training.recipe import Recipe, SegmenterRecipe

GROUPS: Final = {
    "melanoma_auc": (CLASSES.index("mel"),),
    "malignant_auc": tuple(CLASSES.index(dx) for dx in MALIGNANT_CLASSES),
}

_LANDSCAPE: Final = 4 / 3


@dataclass(frozen=True, slots=True)
class Run:
    """Where a training reads and writes. `smoke`: on a handful of photos.

    `only` names the parts to train here, so that several processes or hosts can share a run; all of
    them where it is empty.
    """

    recipe: Recipe
    data: Path
    out: Path
    device: torch.device
    resume: bool = False
    smoke: bool = False
    only: tuple[str, ...] = ()

    def has(self, part: str) -> bool:
        """Tell whether this process trains `part`: "segmenter", or a member's number."""
        return not self.only or part in self.only

    @property
    def cache(self) -> Path:
        """Return where decoded photos are kept."""
        return self.out / "cache"

    def member(self, fold: int) -> Path:
        """Return a member's folder."""
        return self.out / f"member-{fold}"

    @property
    def segmenter(self) -> Path:
        """Return the segmenter's folder."""
        return self.out / "segmenter"

    def init(self, file: str | None) -> Path | None:
        """Return where pretrained weights lie that a recipe names."""
        return self.data / file if file else None


def train(run: Run) -> None:
    """Train the segmenter, then each member on its folds. Raises `DataError`, `InitError`."""
    own = dataset.labelled(run.recipe, run.data, smoke=run.smoke)
    run.out.mkdir(parents=True, exist_ok=True)
    (run.out / "split.csv").write_text(own.split.manifest)
    if run.recipe.segmenter is not None and run.has("segmenter"):
        train_segmenter(run, run.recipe.segmenter, own)
    for fold, seed in enumerate(run.recipe.seeds):
        if run.has(str(fold)):
            train_member(run, own, fold, seed)


def train_member(run: Run, own: dataset.Labelled, fold: int, seed: int) -> Path:
    """Train one member on all development folds but `fold`; return its weights' path."""
    recipe = run.recipe
    network = recipe.network(fold)
    torch.manual_seed(seed)
    pools, shares = dataset.pools(
        recipe, own, fold, data=run.data, cache_dir=run.cache, smoke=run.smoke
    )
    held_out = np.array(own.split.of(fold))
    mean, std = recipe.mean_std
    task = ClassifierTask(
        model=networks.classifier(network.classifier, len(recipe.outputs), run.init(network.init)),
        pools=pools,
        shares=shares,
        augmentation=recipe.schedule.augmentation,
        mean=mean,
        std=std,
        adjustment=dataset.adjustment(recipe, own.labels[np.array(own.split.train(fold))]),
        smoothing=recipe.schedule.smoothing,
        validation=pools[0].pixels[held_out],
        validation_labels=own.labels[held_out],
        groups=GROUPS,
    )
    return loop.fit(
        task,
        recipe.schedule.stages,
        replace(recipe.schedule.optimiser, lr=network.lr or recipe.schedule.optimiser.lr),
        seed=seed,
        out=run.member(fold),
        resume=run.resume,
        device=run.device,
    )


def train_segmenter(run: Run, spec: SegmenterRecipe, own: dataset.Labelled) -> Path:
    """Train the segmenter on the development photos with masks; return its weights' path."""
    torch.manual_seed(spec.seed)
    records = [own.records[i] for i in own.split.development if own.records[i].mask_path]
    held_out: set[str] = set()
    if spec.extra is not None:
        extra = [r for r in readers.read(run.data, spec.extra) if r.mask_path]
        extra = extra[: dataset.SMOKE_PHOTOS] if run.smoke else extra
        held_out = held_out_ids([r.image_id for r in extra], spec)
        records = records + extra
    is_held_out = np.array([r.source == spec.extra and r.image_id in held_out for r in records])
    mean, std = spec.input.mean, spec.input.std
    task = SegmenterTask(
        model=networks.segmenter(spec.architecture, run.init(spec.init or run.recipe.init)),
        pixels=dataset.photos(run.recipe, records, data=run.data, cache_dir=run.cache),
        masks=cache.masks(records, data=run.data, cache=run.cache, size=run.recipe.cache_size),
        aspect=np.array([1.0 if r.source == spec.extra else _LANDSCAPE for r in records]),
        augmentation=spec.schedule.augmentation,
        mean=mean,
        std=std,
        train=np.flatnonzero(~is_held_out),
        held_out=np.flatnonzero(is_held_out),
    )
    return loop.fit(
        task,
        spec.schedule.stages,
        spec.schedule.optimiser,
        seed=spec.seed,
        out=run.segmenter,
        resume=run.resume,
        device=run.device,
    )


def held_out_ids(image_ids: list[str], spec: SegmenterRecipe) -> set[str]:
    """Return the photos of the segmenter's extra data that are kept for its test."""
    rng = np.random.default_rng(spec.seed)
    chosen = rng.permutation(sorted(image_ids))[: round(len(image_ids) * spec.held_out)]
    return set(chosen.tolist())
