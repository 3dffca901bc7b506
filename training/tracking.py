"""Where the figures of a training go while it runs: a table, TensorBoard, Weights & Biases."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, Final, Protocol

from tqdm import tqdm

if TYPE_CHECKING:
    from pathlib import Path

TRACKERS: Final = ("tensorboard", "wandb")

LOG: Final = "log.csv"


class TrackingError(RuntimeError):
    """A tracker was asked for that is not installed."""


class Tracker(Protocol):
    """Takes the figures of each epoch."""

    def epoch(self, number: int, figures: dict[str, Any]) -> None:
        """Take the figures of epoch `number`, counted from 0."""
        ...

    def close(self) -> None:
        """Write out what is held back."""
        ...


class Table:
    """``log.csv`` in the network's folder, one row an epoch, and the same on the terminal."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG

    def epoch(self, number: int, figures: dict[str, Any]) -> None:
        """Add a row; it replaces what a run that was killed had written from this epoch on."""
        row = {"epoch": number, **figures}
        old = list(csv.DictReader(self._path.open())) if self._path.exists() else []
        rows = [r for r in old if int(r["epoch"]) < number] + [row]
        names = list(dict.fromkeys(name for r in rows for name in r))
        with self._path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
        tqdm.write(json.dumps(row))

    def close(self) -> None:
        """Hold nothing back: each row is written at once."""


class TensorBoard:
    """Event files in the network's folder, under ``tensorboard``."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise TrackingError("TensorBoard is not installed: pip install tensorboard") from error
        self._writer = SummaryWriter(str(folder / "tensorboard"))

    def epoch(self, number: int, figures: dict[str, Any]) -> None:
        """Write each figure as a scalar."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, number)

    def close(self) -> None:
        """Write the event file out."""
        self._writer.close()


class WeightsAndBiases:
    """A run at Weights & Biases: nothing leaves this machine unless this is asked for."""

    def __init__(self, folder: Path) -> None:
        try:
            import wandb
        except ImportError as error:
            raise TrackingError("Weights & Biases is not installed: pip install wandb") from error
        self._run = wandb.init(project="dermai", name=folder.name, dir=str(folder))

    def epoch(self, number: int, figures: dict[str, Any]) -> None:
        """Send the figures."""
        self._run.log(figures, step=number)

    def close(self) -> None:
        """End the run."""
        self._run.finish()


_KINDS: Final[dict[str, type[TensorBoard | WeightsAndBiases]]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
}


def open_trackers(folder: Path, names: tuple[str, ...]) -> list[Tracker]:
    """Return the table and the trackers of these `names`. Raises `TrackingError`."""
    return [Table(folder), *(_KINDS[name](folder) for name in names)]
