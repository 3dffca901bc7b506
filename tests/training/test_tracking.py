from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training import tracking


def test_the_table_is_always_written_and_takes_back_what_a_kill_left(tmp_path: Path) -> None:
    for epochs in ([0, 1, 2], [1, 2]):
        (tracker,) = tracking.open_trackers(tmp_path, ())
        for epoch in epochs:
            tracker.epoch(epoch, {"loss": 1.0 / (len(epochs) + epoch)})

    rows = list(csv.DictReader((tmp_path / tracking.LOG).open()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert float(rows[2]["loss"]) == pytest.approx(1 / 4)


def test_a_figure_that_comes_late_has_a_column(tmp_path: Path) -> None:
    table = tracking.Table(tmp_path)
    table.epoch(0, {"loss": 1.0})
    table.epoch(1, {"loss": 0.5, "dice": 0.9})

    rows = list(csv.DictReader((tmp_path / tracking.LOG).open()))
    assert [row["dice"] for row in rows] == ["", "0.9"]


def test_tensorboard_gets_the_figures_when_asked(tmp_path: Path) -> None:
    for tracker in tracking.open_trackers(tmp_path, ("tensorboard",)):
        tracker.epoch(0, {"loss": 1.0})
        tracker.epoch(1, {"loss": 0.25})
        tracker.close()

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(0, 1.0), (1, 0.25)]


@pytest.mark.parametrize(
    ("name", "module"), [("wandb", "wandb"), ("tensorboard", "torch.utils.tensorboard")]
)
def test_a_tracker_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(tracking.TrackingError, match=f"pip install {name}"):
        tracking.open_trackers(tmp_path, (name,))
