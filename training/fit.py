"""Train a recipe's networks into a run folder, one after the other, each resumable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import torch

from training import cache, dataset, loop, losses, networks, readers
from training.parallel import SOLO, Team
from training.tasks import ClassifierTask, SegmenterTask

if TYPE_CHECKING:
    from pathlib import Path

    from training.recipe import Recipe, SegmenterRecipe
    from training.schedule import Optimiser, Stage
    from training.tasks import Task

_LANDSCAPE: Final = 4 / 3


@dataclass(frozen=True, slots=True)
class Run:
    """Where a training reads and writes. `smoke`: on a handful of photos.

    `only` names the parts to train here, so that several processes or hosts can share a run; all of
    them where it is empty. `trackers` by their names in `tracking`; `team` of processes that train
    one network together. `precision` in which trained networks judge photos on a CPU.
    """

    recipe: Recipe
    data: Path
    out: Path
    device: torch.device
    resume: bool = False
    smoke: bool = False
    only: tuple[str, ...] = ()
    trackers: tuple[str, ...] = ()
    team: Team = SOLO
    precision: Literal["float32", "bfloat16"] = "float32"

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

    def init(self, named: str | None) -> networks.Init:
        """Return where the pretrained weights come from that a recipe names.

        At smoke size the hub is not asked, and a file that is not there is done without.
        """
        if named is None or (self.smoke and not (self.data / named).is_file()):
            return None
        return networks.HUB if named == networks.HUB else self.data / named


def train(run: Run) -> None:
    """Train the segmenter, then each member on its folds. Raises `DataError`, `InitError`."""
    own = dataset.labelled(run.recipe, run.data, smoke=run.smoke)
    if run.team.leads:
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
    with run.team.first():
        pools, shares = dataset.pools(
            recipe, own, fold, data=run.data, cache_dir=run.cache, smoke=run.smoke
        )
    held_out = np.array(own.split.of(fold))
    fitted = own.labels[np.array(own.split.train(fold))]
    task = ClassifierTask(
        model=networks.classifier(network.classifier, len(recipe.outputs), run.init(network.init)),
        pools=pools,
        shares=shares,
        augmentation=recipe.schedule.augmentation,
        input=recipe.input,
        criterion=losses.criterion(
            recipe.schedule.loss,
            dataset.counts(recipe, fitted),
            adjustment=dataset.adjustment(recipe, fitted),
            smoothing=recipe.schedule.smoothing,
        ),
        validation=pools[0].pixels[held_out],
        validation_labels=own.labels[held_out],
        groups=groups(recipe),
        device=run.device,
    )
    optimiser = recipe.schedule.optimiser
    optimiser = replace(optimiser, lr=network.lr or optimiser.lr)
    stages = filled(recipe.schedule.stages, len(fitted), optimiser.batch)
    return _fit(run, task, stages, optimiser, seed, run.member(fold))


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
    task = SegmenterTask(
        model=networks.segmenter(spec.architecture, run.init(spec.init or run.recipe.init)),
        pixels=dataset.photos(run.recipe, records, data=run.data, cache_dir=run.cache),
        masks=cache.masks(records, data=run.data, cache=run.cache, size=run.recipe.cache_size),
        aspect=np.array([1.0 if r.source == spec.extra else _LANDSCAPE for r in records]),
        augmentation=spec.schedule.augmentation,
        input=spec.input,
        train=np.flatnonzero(~is_held_out),
        held_out=np.flatnonzero(is_held_out),
        dice_weight=spec.dice_weight,
        device=run.device,
    )
    optimiser = spec.schedule.optimiser
    stages = filled(spec.schedule.stages, int((~is_held_out).sum()), optimiser.batch)
    return _fit(run, task, stages, optimiser, spec.seed, run.segmenter)


def groups(recipe: Recipe) -> dict[str, tuple[int, ...]]:
    """Return the columns summed for each figure of the validation part."""
    known = recipe.labels.class_map
    found = {"melanoma_auc": known.melanoma, "malignant_auc": known.malignant}
    return {name: columns for name, columns in found.items() if columns}


def filled(stages: tuple[Stage, ...], photos: int, batch: int) -> tuple[Stage, ...]:
    """Return the stages with as many whole batches as the photos make, where none are said."""
    whole = max(1, photos // batch) * batch
    return tuple(replace(stage, images=stage.images or whole) for stage in stages)


def _fit(
    run: Run,
    task: Task,
    stages: tuple[Stage, ...],
    optimiser: Optimiser,
    seed: int,
    out: Path,
) -> Path:
    place = loop.Place(out, run.device, run.team, run.trackers)
    return loop.fit(task, stages, optimiser, place, seed=seed, resume=run.resume)


def held_out_ids(image_ids: list[str], spec: SegmenterRecipe) -> set[str]:
    """Return the photos of the segmenter's extra data that are kept for its test."""
    rng = np.random.default_rng(spec.seed)
    chosen = rng.permutation(sorted(image_ids))[: round(len(image_ids) * spec.held_out)]
    return set(chosen.tolist())
