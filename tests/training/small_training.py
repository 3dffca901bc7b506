"""A training that several processes share: ``python -m tests.training.small_training OUT``.

With ``--killed`` three trainings with dropout: whole, stopped within an epoch, gone on with.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from training import loop, parallel
from training.schedule import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from training.parallel import Team


class PowerCutError(Exception):
    """Every process died."""


class Squares:
    """Two classes of noisy squares; nothing in the network depends on how a batch is cut.

    Unless there is `dropout`; what that let through first is kept. `dies_at` a batch of all.
    """

    def __init__(self, dropout: float = 0.0, dies_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(8, 2),
        )
        self.dies_at, self.drawn = dies_at, 0

    def batches(
        self, rng: np.random.Generator, stage: Stage, *, batch: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, stage.images, batch):
            if self.drawn == self.dies_at:
                raise PowerCutError
            self.drawn += 1
            n = min(batch, stage.images - start)
            y = rng.integers(2, size=n)
            x = rng.normal(y[:, None, None, None], 0.5, (n, 3, stage.size, stage.size))
            yield torch.from_numpy(x).float(), torch.from_numpy(y)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output.float(), target)

    def validate(self, model: nn.Module, size: int) -> dict[str, float]:
        return {"figure": float(size + model.training)}


def train(out: Path, task: Squares, team: Team, *, resume: bool = False, every: int = 0) -> Path:
    """Train in this process, or in the team that the launcher made."""
    spec = loop.Optimiser(
        lr=0.05, batch=9, ema=0.5, precision="fp32", monitor="figure", checkpoint_every=every
    )
    place = loop.Place(out / "net", torch.device("cpu"), team)
    # Batches of 9 and a last one of 2: shares of 5 and 4, and one too small to be shared.
    stages = (loop.Stage(6, 2, 29), loop.Stage(8, 1, 20))
    return loop.fit(task, stages, spec, place, seed=3, resume=resume)


def stop_and_go_on(out: Path, team: Team) -> None:
    """Train once at a stretch, once stopped; write what each process's dropout let through."""
    whole = Squares(dropout=0.5)
    let_through: list[Tensor] = []
    whole.model[4].register_forward_hook(lambda *a: let_through.append(a[2].detach() != 0))
    train(out / "whole", whole, team, every=1)
    save_file({"mask": let_through[0].float()}, out / f"dropout-{team.rank}.safetensors")
    try:
        train(out / "killed", Squares(dropout=0.5, dies_at=6), team, every=1)
    except PowerCutError:
        train(out / "killed", Squares(dropout=0.5), team, resume=True, every=1)


def main() -> None:
    """Train as the command line says."""
    out = Path(sys.argv[1])
    torch.set_num_threads(1)
    team, _ = parallel.join(torch.device("cpu"))
    (out / f"rank-{team.rank}-of-{team.size}").touch()
    if "--killed" in sys.argv:
        stop_and_go_on(out, team)
    else:
        train(out, Squares(), team)


if __name__ == "__main__":
    main()
