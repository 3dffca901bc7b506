"""One training loop for classifiers and segmenters: phases, EMA, checkpoints, exact resume.

Photos and their views are drawn from (seed, epoch), alike in every process; dropout from (seed,
epoch, rank), each process its own. A checkpoint within an epoch holds every generator's state: on a
CPU, a run that was killed and resumed ends in the same weights as one that was not. Some of CUDA's
kernels add in no fixed order, so that there no two runs need end in the same.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from tqdm import tqdm

from training import averaging, checkpoint, ended, generators, precision, schedule
from training.parallel import SOLO, Team
from training.schedule import Optimiser, Stage
from training.tracking import LOG, Tracker, open_trackers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from training.tasks import Task

__all__ = ["BEST", "CHECKPOINT", "FINAL", "LOG", "Begun", "Optimiser", "Place", "Stage", "fit"]

CHECKPOINT: Final = "checkpoint.safetensors"
BEST: Final = "best.safetensors"
FINAL: Final = "final.safetensors"
FOUND: Final = "restart.safetensors"
"""The weights that the last restart found."""

_RANK_BITS: Final = 40
"""Seeds of processes lie this many bits apart, so that no epoch of one is an epoch of another."""


class MonitorError(ValueError):
    """The figure that the schedule watches is not among those of the validation part."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What a training goes on from: `weights` by name, to which the first `stages` have led."""

    weights: Mapping[str, Tensor]
    stages: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a training runs and writes: folder `out`, `device`, `team`, `trackers` by name."""

    out: Path
    device: torch.device
    team: Team = SOLO
    trackers: tuple[str, ...] = ()


def fit(
    task: Task,
    stages: Sequence[Stage],
    optimiser: Optimiser,
    place: Place,
    *,
    seed: int,
    resume: bool,
    made_of: str = "",
    begun: Begun | None = None,
) -> Path:
    """Train `task` and return the path of the weights kept, ``out/final.safetensors``.

    Writes a checkpoint after each epoch and a row of ``log.csv``. With `resume` it goes on from the
    checkpoint in `out`, if there is one, and does nothing where the training had ended, unless what
    is new in `stages` since then begins with a restart. `made_of` is the hash of all else that
    decides the weights. Where there is nothing to resume it begins with `begun`, if that is given:
    with its weights, and an optimiser that knows nothing of how they came about. Raises
    `MonitorError`, `TrackingError`, and `OtherRecipeError` where what is to be gone on with was
    made of something else, or by `begun.stages` that no restart follows.
    """
    out, team = place.out, place.team
    out.mkdir(parents=True, exist_ok=True)
    team.wait()  # lest one reads what another is still writing, and they begin apart
    final, plan = out / FINAL, ended.Plan(made_of, tuple(stages))
    if resume and final.exists() and not plan.goes_on(checkpoint.read_metadata(final), final):
        return final
    training = _Training(task, plan, optimiser, seed, place)
    if resume and (out / CHECKPOINT).exists():
        training.restore()
    else:
        training.begin(begun)
    training.trackers = open_trackers(out, place.trackers) if team.leads else []
    training.run()
    if team.leads:
        training.keep(final)
    team.wait()
    return final


@dataclass(slots=True)
class _Progress:
    """How far a training is: `epoch` of the plan, `batch` within it, `step` of all.

    `best` figure so far; `stale` epochs of the phase without a better one; `losses` of the epoch.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: float | None = None
    stale: int = 0
    losses: list[float] = field(default_factory=list)
    rates: dict[str, Any] = field(default_factory=dict)


class _Training:
    """One network's training, between its start and its end."""

    def __init__(
        self,
        task: Task,
        made: ended.Plan,
        spec: Optimiser,
        seed: int,
        place: Place,
    ) -> None:
        stages, self.made = made.stages, made
        self.task, self.spec, self.seed = task, spec, seed
        self.out, self.device, self.team = place.out, place.device, place.team
        self.model = task.model.to(self.device).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval()
        layered = any(stage.layered for stage in stages)
        self.optimiser = schedule.build(self.model, spec, layered=layered)
        self.plan = schedule.plan(stages)
        cycles = schedule.cycles(stages, spec.batch)
        self.rates = schedule.Rates(self.optimiser, spec, cycles)
        self.precision = precision.on(self.device, spec.precision)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.at = _Progress()
        self.trackers: list[Tracker] = []
        self._rng: Tensor | None = None
        self._wrapped: nn.Module = self.model
        if spec.compile:
            self.model.compile()

    def restore(self) -> None:
        """Go back to the checkpoint. Raises `OtherRecipeError`."""
        path = self.out / CHECKPOINT
        self.made.check(checkpoint.read_metadata(path), path)
        found = checkpoint.load(path, self.model, self.average, self.optimiser)
        self.at = _Progress(epoch=found.epoch, step=found.step, **found.more.get("progress", {}))
        if found.more.get("scaler"):
            self.scaler.load_state_dict(found.more["scaler"])
        self._rng = found.rng

    def begin(self, begun: Begun | None) -> None:
        """Begin anew, or where the stages are done that `begun` has had."""
        stages = self.made.stages
        further = stages[begun.stages :] if begun else ()
        if begun and further and not further[0].restart:
            raise ended.OtherRecipeError(
                f"the stage after the {begun.stages} that the weights had needs 'restart: true'"
            )
        if self.team.leads:
            for name in (CHECKPOINT, BEST, FOUND):
                (self.out / name).unlink(missing_ok=True)
        if begun is not None:
            self._begin_with(begun, stages[: begun.stages])

    def _begin_with(self, begun: Begun, done: Sequence[Stage]) -> None:
        for model in (self.model, self.average):
            model.load_state_dict(begun.weights)
        epoch = len(schedule.plan(done))
        self.at = _Progress(epoch=epoch, step=sum(schedule.cycles(done, self.spec.batch)))
        if self.team.leads:
            checkpoint.save_weights(self.out / FOUND, self.average)
        if self.spec.monitor is not None:
            figures = self._figures(self.plan[min(epoch, len(self.plan) - 1)].stage.size)
            self._watch(figures[self.spec.monitor])
            self.at.stale = 0

    def run(self) -> None:
        """Train what is left of the plan."""
        current: Stage | None = None
        while self.at.epoch < len(self.plan):
            stage = self.plan[self.at.epoch].stage
            if stage is not current:
                self._begin(stage)
                current = stage
            self._epoch()
        for tracker in self.trackers:
            tracker.close()

    def keep(self, path: Path) -> None:
        """Write the weights that the training was for."""
        if self.spec.monitor is not None:
            checkpoint.load_weights(self.out / BEST, self.average)
        self._blend(self.made.stages)
        checkpoint.save_weights(path, self.average, self.made.metadata())

    def _blend(self, done: Sequence[Stage]) -> bool:
        """Blend the average as the last restart of `done` says; tell whether there was a need."""
        share = schedule.blend(done)
        if share < 1:
            found = copy.deepcopy(self.average)
            checkpoint.load_weights(self.out / FOUND, found)
            averaging.blend(found, self.average, share)
        return share < 1

    def _begin(self, stage: Stage) -> None:
        """Take up a phase, from its start or from within."""
        within = self.plan[self.at.epoch].within > 0 or self.at.batch > 0
        if not within:
            self.at.stale, self.at.rates = 0, {}
            if stage.restart:
                self._restart()
            if self.spec.schedule != "one_cycle":
                self.optimiser.state.clear()
        self.rates.begin(stage)
        self.rates.restore(self.at.rates)
        self._wrapped = self.team.wrap(self.model)

    def _restart(self) -> None:
        """End the cycle before, if it blends, and keep what this one finds."""
        if self._blend(schedule.before(self.made.stages, self.at.epoch)):
            self.model.load_state_dict(self.average.state_dict())
            self.optimiser.state.clear()
        self.team.wait()  # lest one still reads what another writes
        if self.team.leads:
            checkpoint.save_weights(self.out / FOUND, self.average)

    def _epoch(self) -> None:
        at, spec = self.at, self.spec
        epoch = self.plan[at.epoch]
        stage = epoch.stage
        torch.manual_seed(self.seed * 1000 + at.epoch + (self.team.rank << _RANK_BITS))
        rng = np.random.default_rng((self.seed, at.epoch))
        started = time.monotonic()
        schedule.set_training(self.model)
        batches = self.task.batches(rng, stage, batch=spec.batch)
        left = itertools.islice(batches, at.batch, None)
        count = math.ceil(stage.images / spec.batch)
        label = f"{self.out.name} {at.epoch + 1}/{len(self.plan)} at {stage.size} px"
        self._restore_rng()
        for x, target in tqdm(
            left,
            initial=at.batch,
            total=count,
            desc=label,
            unit="batch",
            mininterval=10,
            disable=not self.team.leads,
        ):
            self.rates.set(at.step, epoch.within + at.batch / count)
            at.losses.append(self._step(x, target))
            at.batch += 1
            if spec.checkpoint_every and at.batch % spec.checkpoint_every == 0 and at.batch < count:
                self._save()
        self._end(epoch, round(time.monotonic() - started, 1))

    def _step(self, x: Tensor, target: Tensor) -> float:
        """Learn from one batch; return this process's loss."""
        spec, own = self.spec, self.team.share(x)
        with precision.autocast(self.device, self.precision):
            output = self._wrapped(own.to(self.device))
        loss = self.task.loss(output, self.team.share(target).to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss * self.team.weight(len(x), len(own))).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimiser)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), spec.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.at.step += 1
        averaging.move(
            self.average, self.model, min(spec.ema, (1 + self.at.step) / (10 + self.at.step))
        )
        return float(loss.detach())

    def _end(self, epoch: schedule.Epoch, seconds: float) -> None:
        """Validate, note, and decide what comes next."""
        at, monitor = self.at, self.spec.monitor
        number, last = at.epoch, at.epoch + 1 == epoch.next_stage
        row: dict[str, Any] = {"size": epoch.stage.size, "loss": float(np.mean(at.losses))}
        row["seconds"] = seconds
        changes = (
            number + 1 == len(self.plan) or self.plan[number + 1].stage.size != epoch.stage.size
        )
        figures: dict[str, float] = {}
        if monitor or changes:
            figures = self._figures(epoch.stage.size)
        at.epoch, at.batch, at.losses = number + 1, 0, []
        if monitor is not None:
            self._watch(figures[monitor])
            stale = self.spec.early_stop and at.stale >= self.spec.early_stop
            at.epoch = epoch.next_stage if stale and not last else at.epoch
        at.rates = self.rates.state()
        self._save()
        for tracker in self.trackers:
            tracker.epoch(number, row | figures)

    def _figures(self, size: int) -> dict[str, float]:
        """Return every process's figures of the validation part. Raises `MonitorError`."""
        figures = self.team.told(self._validate(size) if self.team.leads else {})
        monitor = self.spec.monitor
        if monitor is not None and monitor not in figures:
            raise MonitorError(
                f"the schedule watches {monitor!r}, the validation gives {sorted(figures)}: "
                "name one of these, or validate on photos of both kinds"
            )
        return figures

    def _validate(self, size: int) -> dict[str, float]:
        with precision.autocast(self.device, self.precision):
            return self.task.validate(self.average, size)

    def _watch(self, figure: float) -> None:
        """Keep the weights if they are the best so far."""
        self.rates.see(figure)
        self.at.stale += 1
        if self.at.best is None or figure > self.at.best:
            self.at.best, self.at.stale = figure, 0
            if self.team.leads:
                checkpoint.save_weights(self.out / BEST, self.average)

    def _save(self) -> None:
        """Write a checkpoint; every process comes here, each with its generator's state."""
        rng = generators.states(self.device, self.team)
        if not self.team.leads:
            return
        progress = asdict(self.at)
        more = {
            "progress": {k: v for k, v in progress.items() if k not in {"epoch", "step"}},
            "scaler": self.scaler.state_dict(),
        }
        checkpoint.save(
            self.out / CHECKPOINT,
            self.model,
            self.average,
            self.optimiser,
            checkpoint.Position(self.at.epoch, self.at.step, more, rng, self.made.metadata()),
        )

    def _restore_rng(self) -> None:
        """Take up the generator's state, where a checkpoint stood within this epoch."""
        kept, self._rng = self._rng, None
        if kept is not None and self.at.batch:
            generators.take_up(kept, self.device, self.team)
