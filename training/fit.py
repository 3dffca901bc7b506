"""Train a recipe's networks into a run folder, one after the other, each resumable."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch

from training import (
    begun,
    cache,
    checkpoint,
    dataset,
    ended,
    lent,
    loop,
    losses,
    masked,
    needs,
    networks,
)
from training.parallel import SOLO, Team
from training.recipe import Schedule, SegmenterRecipe
from training.tasks import ClassifierTask, SegmenterTask

if TYPE_CHECKING:
    from pathlib import Path

    from inference_worker.bundle import Bundle
    from training.recipe import Recipe
    from training.schedule import Stage


@dataclass(frozen=True, slots=True)
class Run:
    """Where a training reads and writes. `smoke`: on a handful of photos.

    `only` names the parts to train here, so that several processes or hosts can share a run; all of
    them where it is empty. `trackers` by their names in `tracking`; `team` of processes that train
    one network together. `precision` in which trained networks judge photos on a CPU. Parts of
    which the folder holds nothing yet begin with the weights of `begun`, and with its recipe's
    further stages.
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
    begun: Bundle | None = None

    def has(self, part: str) -> bool:
        """Tell whether this process trains `part`: "segmenter", or a member's number."""
        return not self.only or part in self.only

    @property
    def few(self) -> int | None:
        """Return how many photos of each other data set are read; None for all."""
        return dataset.SMOKE_PHOTOS if self.smoke else None

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
    """Train the segmenter, then each member on its folds.

    Raises `DataError` before anything is trained, also where a set is missing that only the export
    reads; `InitError`, and `OtherRecipeError` where the bundle to begin with was made by another
    recipe, or on photos that others of its parts are tested on now.
    """
    needs.check(run.recipe, run.data, run.only)
    own = dataset.labelled(run.recipe, run.data, smoke=run.smoke)
    if run.begun is not None:
        begun.check(run.begun.manifest, run.recipe, own)
    others = lent.lent(run.recipe, own, run.data, few=run.few)
    if run.team.leads:
        run.out.mkdir(parents=True, exist_ok=True)
        begun.note(run.begun, run.out)
        (run.out / "split.csv").write_text(own.split.manifest)
    if run.recipe.segmenter is not None and run.has("segmenter"):
        train_segmenter(run, run.recipe.segmenter, own)
    for fold, seed in enumerate(run.recipe.seeds):
        if run.has(str(fold)):
            train_member(run, own, others, fold, seed)


def train_member(run: Run, own: dataset.Labelled, others: lent.Lent, fold: int, seed: int) -> Path:
    """Train one member on all development folds but `fold`, and on what other data sets lend.

    Returns its weights' path.
    """
    recipe = run.recipe
    network = recipe.network(fold)
    torch.manual_seed(seed)
    with run.team.first():
        pools, shares = dataset.pools(recipe, own, fold, others, data=run.data, cache_dir=run.cache)
    watched = np.array(dataset.parts(recipe, own, fold).watched)
    counts = dataset.counts(pools)
    task = ClassifierTask(
        model=networks.classifier(
            network.classifier,
            len(recipe.outputs),
            None if run.begun else run.init(network.init),
            recipe.input,
        ),
        pools=pools,
        shares=shares,
        augmentation=recipe.schedule.augmentation,
        input=recipe.input,
        criterion=losses.criterion(
            recipe.schedule.loss,
            counts,
            adjustment=dataset.adjustment(pools, shares),
            smoothing=recipe.schedule.smoothing,
        ),
        validation=pools[0].pixels[watched],
        validation_labels=own.labels[watched],
        groups=groups(recipe),
        device=run.device,
    )
    optimiser = recipe.schedule.optimiser
    optimiser = replace(optimiser, lr=network.lr or optimiser.lr)
    stages = filled(recipe.schedule.stages, int(counts.sum()), optimiser.batch)
    made_of = _member_made_of(run, own, others, fold, seed)
    place = loop.Place(run.member(fold), run.device, run.team, run.trackers)
    return loop.fit(
        task,
        stages,
        optimiser,
        place,
        seed=seed,
        resume=run.resume,
        made_of=made_of,
        begun=begun.member(run.begun, recipe, fold) if run.begun else None,
    )


def train_segmenter(run: Run, spec: SegmenterRecipe, own: dataset.Labelled) -> Path:
    """Train the segmenter on photos with masks; return its weights' path. Raises `DataError`."""
    recipe = run.recipe
    torch.manual_seed(spec.seed)
    parts = masked.masked(recipe, spec, own, run.data, few=run.few)
    with run.team.first():
        photos = dataset.decoded(recipe, parts.records, data=run.data, cache_dir=run.cache)
        masks = cache.masks(
            parts.records,
            data=run.data,
            cache=run.cache,
            size=recipe.cache_size,
            workers=recipe.workers,
        )
    task = SegmenterTask(
        model=networks.segmenter(
            spec.architecture,
            None if run.begun else run.init(spec.init or recipe.init),
            spec.input,
        ),
        pixels=photos.pixels,
        masks=masks,
        aspect=photos.aspect,
        augmentation=spec.schedule.augmentation,
        input=spec.input,
        train=parts.train,
        held_out=parts.validation,
        dice_weight=spec.dice_weight,
        device=run.device,
    )
    stages = filled(spec.schedule.stages, len(parts.train), spec.schedule.optimiser.batch)
    place = loop.Place(run.segmenter, run.device, run.team, run.trackers)
    return loop.fit(
        task,
        stages,
        spec.schedule.optimiser,
        place,
        seed=spec.seed,
        resume=run.resume,
        made_of=_segmenter_made_of(run, own, spec),
        begun=begun.segmenter(run.begun, spec) if run.begun else None,
    )


def verify(run: Run, own: dataset.Labelled, others: lent.Lent) -> None:
    """Raise `OtherRecipeError` where ended weights in the run folder are not of this recipe."""
    recipe = run.recipe
    for fold, seed in enumerate(recipe.seeds):
        made_of, path = _member_made_of(run, own, others, fold, seed), run.member(fold) / loop.FINAL
        ended.Plan(made_of, recipe.schedule.stages).verify(checkpoint.read_metadata(path), path)
    if recipe.segmenter is not None:
        spec, path = recipe.segmenter, run.segmenter / loop.FINAL
        plan = ended.Plan(_segmenter_made_of(run, own, spec), spec.schedule.stages)
        plan.verify(checkpoint.read_metadata(path), path)


def groups(recipe: Recipe) -> dict[str, tuple[int, ...]]:
    """Return the columns summed for each figure of the validation part."""
    known = recipe.labels.class_map
    found = {"melanoma_auc": known.melanoma, "malignant_auc": known.malignant}
    return {name: columns for name, columns in found.items() if columns}


def filled(stages: tuple[Stage, ...], photos: int, batch: int) -> tuple[Stage, ...]:
    """Return the stages with as many whole batches as the photos make, where none are said."""
    whole = max(1, photos // batch) * batch
    return tuple(replace(stage, images=stage.images or whole) for stage in stages)


def _member_made_of(
    run: Run, own: dataset.Labelled, others: lent.Lent, fold: int, seed: int
) -> str:
    recipe = run.recipe
    return _made_of(run, own, recipe.network(fold), recipe.schedule, fold, seed, others)


def _segmenter_made_of(run: Run, own: dataset.Labelled, spec: SegmenterRecipe) -> str:
    return _made_of(run, own, spec, spec.schedule)


def _made_of(run: Run, own: dataset.Labelled, *what: object) -> str:
    """Return the hash of what decides a network's weights beside its stages: recipe and data.

    Of the recipe, what the loop reads and what photos, labels and parts are made by; `what` is the
    network's own.
    """
    recipe = run.recipe
    said = [
        own.split.sha256,
        *(recipe.data, recipe.split, recipe.input, recipe.cache_size, recipe.preprocessing),
        *(recipe.outputs, recipe.activation, recipe.class_map, recipe.targets, recipe.init),
        *(_without_stages(one) for one in what),
    ]
    plain = json.dumps(said, default=_plain, sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()


def _without_stages(one: object) -> object:
    """Return a schedule, or what has one, without its stages: a run may be gone on with by more."""
    if isinstance(one, Schedule):
        return replace(one, stages=())
    if isinstance(one, SegmenterRecipe):
        return replace(one, schedule=replace(one.schedule, stages=()))
    return one


def _plain(one: object) -> object:
    if isinstance(one, lent.Lent):
        return [f"{r.source}/{r.path}" for r in [*one.further, *one.partial]]
    return asdict(cast("Any", one))
