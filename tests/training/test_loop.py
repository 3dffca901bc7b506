from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from training import loop
from training.augment import Augmentation
from training.schedule import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

STAGES = (loop.Stage(4, 2, 20), loop.Stage(8, 2, 20))
CPU = torch.device("cpu")


class PowerCutError(Exception):
    """The process died."""


class Blobs:
    """Two classes of noisy squares, with dropout in the network, so that all randomness counts."""

    def __init__(self, dies_in_epoch: int | None = None) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 2),
        )
        self.epochs = 0
        self.augmented: list[Augmentation | None] = []
        self.dies_in_epoch = dies_in_epoch
        self.validated: list[int] = []

    def batches(
        self, rng: np.random.Generator, stage: Stage, *, batch: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        self.epochs += 1
        self.augmented.append(stage.augmentation)
        for start in range(0, stage.images, batch):
            if self.epochs == self.dies_in_epoch and start:
                raise PowerCutError
            n = min(batch, stage.images - start)
            y = rng.integers(2, size=n)
            x = rng.normal(y[:, None, None, None], 0.5, (n, 3, stage.size, stage.size))
            yield torch.from_numpy(x).float(), torch.from_numpy(y)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output.float(), target)

    def validate(self, model: nn.Module, size: int) -> dict[str, float]:
        self.validated.append(size)
        assert not model.training
        return {"figure": 0.5}


def fit(task: Blobs, out: Path, *, resume: bool = False) -> dict[str, Tensor]:
    optimiser = loop.Optimiser(lr=0.05, batch=8, ema=0.8)
    path = loop.fit(task, STAGES, optimiser, loop.Place(out, CPU), seed=3, resume=resume)
    return load_file(path)


def test_a_killed_run_resumes_to_exactly_the_same_weights(tmp_path: Path) -> None:
    whole = fit(Blobs(), tmp_path / "whole")
    with pytest.raises(PowerCutError):
        fit(Blobs(dies_in_epoch=3), tmp_path / "killed")

    resumed = fit(Blobs(), tmp_path / "killed", resume=True)

    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_resumed_run_trains_only_what_was_left(tmp_path: Path) -> None:
    with pytest.raises(PowerCutError):
        fit(Blobs(dies_in_epoch=3), tmp_path)
    task = Blobs()

    fit(task, tmp_path, resume=True)

    assert task.epochs == 2
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "0", "1", "2", "3"]


def test_without_resume_a_run_starts_afresh(tmp_path: Path) -> None:
    fit(Blobs(), tmp_path)
    task = Blobs()

    fit(task, tmp_path)

    assert task.epochs == 4


def test_training_learns(tmp_path: Path) -> None:
    fit(Blobs(), tmp_path)

    rows = (tmp_path / "log.csv").read_text().splitlines()
    losses = [float(row.split(",")[2]) for row in rows[1:]]
    assert losses[-1] < 0.7 * losses[0]


def test_the_figures_are_taken_at_the_end_of_each_stage(tmp_path: Path) -> None:
    task = Blobs()

    fit(task, tmp_path)

    assert task.validated == [4, 8]


class Climbing(Blobs):
    """Blobs whose validation figure is told beforehand, epoch by epoch."""

    def __init__(self, figures: list[float]) -> None:
        super().__init__()
        self.figures = figures
        self.weights: list[Tensor] = []

    def validate(self, model: nn.Module, size: int) -> dict[str, float]:
        super().validate(model, size)
        self.weights.append(model[0].weight.detach().clone())  # type: ignore[index]
        return {"figure": self.figures[len(self.weights) - 1]}


def watched(task: Blobs, out: Path, stages: tuple[loop.Stage, ...], **more: object) -> Path:
    optimiser = loop.Optimiser(lr=0.05, batch=8, ema=0.0, monitor="figure", **more)  # type: ignore[arg-type]
    return loop.fit(task, stages, optimiser, loop.Place(out, CPU), seed=3, resume=False)


def test_the_weights_kept_are_those_of_the_best_epoch(tmp_path: Path) -> None:
    task = Climbing([0.1, 0.9, 0.3, 0.2])

    final = load_file(watched(task, tmp_path, STAGES))

    assert torch.equal(final["0.weight"], task.weights[1])


def test_an_early_stop_ends_its_phase_and_the_next_begins(tmp_path: Path) -> None:
    task = Climbing([0.9, 0.1, 0.1, 0.95, 0.96])
    stages = (loop.Stage(4, 9, 16), loop.Stage(8, 2, 16))

    watched(task, tmp_path, stages, early_stop=2)

    rows = (tmp_path / "log.csv").read_text().splitlines()[1:]
    assert [row.split(",")[:2] for row in rows] == [
        ["0", "4"],
        ["1", "4"],
        ["2", "4"],
        ["9", "8"],
        ["10", "8"],
    ]


def test_a_figure_that_the_validation_lacks_is_named(tmp_path: Path) -> None:
    optimiser = loop.Optimiser(monitor="dice")

    with pytest.raises(loop.MonitorError, match="'dice'"):
        loop.fit(Blobs(), STAGES, optimiser, loop.Place(tmp_path, CPU), seed=3, resume=False)


@pytest.mark.parametrize("schedule", ["one_cycle", "warm_restarts", "plateau"])
def test_a_run_killed_within_an_epoch_goes_on_from_there_to_the_same_weights(
    tmp_path: Path, schedule: str
) -> None:
    more = {"batch": 8, "ema": 0.8, "monitor": "figure", "checkpoint_every": 1}
    optimiser = loop.Optimiser(lr=0.05, schedule=schedule, **more)  # type: ignore[arg-type]

    def run(task: Blobs, out: Path, *, resume: bool = False) -> dict[str, Tensor]:
        place = loop.Place(out, CPU)
        return load_file(loop.fit(task, STAGES, optimiser, place, seed=3, resume=resume))

    whole = run(Blobs(), tmp_path / "whole")
    with pytest.raises(PowerCutError):
        run(Blobs(dies_in_epoch=3), tmp_path / "killed")
    left = Counting()

    resumed = run(left, tmp_path / "killed", resume=True)

    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    # Two epochs of three batches each, the first of which had been learnt before the kill.
    assert left.learnt == 5


def test_a_finished_run_goes_on_with_a_restart_as_if_it_had_been_planned(tmp_path: Path) -> None:
    optimiser = loop.Optimiser(lr=0.05, batch=8, ema=0.8)
    again = loop.Stage(8, 2, 24, restart=True)

    def run(out: Path, *stages: loop.Stage) -> dict[str, Tensor]:
        place = loop.Place(out, CPU)
        return load_file(loop.fit(Blobs(), stages, optimiser, place, seed=3, resume=True))

    whole = run(tmp_path / "whole", *STAGES, again)
    first = run(tmp_path / "longer", *STAGES)
    same = run(tmp_path / "longer", *STAGES)
    longer = run(tmp_path / "longer", *STAGES, again)

    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], longer[name]) for name in first)
    assert all(torch.equal(whole[name], longer[name]) for name in whole)


class Counting(Blobs):
    """Blobs that count what is learnt from."""

    learnt = 0

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        self.learnt += 1
        return super().loss(output, target)


def test_a_stage_has_the_augmentation_that_it_names_and_the_others_the_schedules(
    tmp_path: Path,
) -> None:
    darker = Augmentation(brightness=0.3)
    task = Blobs()
    stages = (loop.Stage(4, 2, 20), loop.Stage(4, 1, 20, restart=True, augmentation=darker))
    loop.fit(task, stages, loop.Optimiser(), loop.Place(tmp_path, CPU), seed=3, resume=False)
    assert task.augmented == [None, None, darker]
