"""A training that several processes share: ``python -m tests.training.small_training OUT``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from training import loop, parallel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


class Squares:
    """Two classes of noisy squares; nothing in the network depends on how a batch is cut."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
        )

    def batches(
        self, rng: np.random.Generator, *, size: int, images: int, batch: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, images, batch):
            n = min(batch, images - start)
            y = rng.integers(2, size=n)
            x = rng.normal(y[:, None, None, None], 0.5, (n, 3, size, size))
            yield torch.from_numpy(x).float(), torch.from_numpy(y)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output.float(), target)

    def validate(self, model: nn.Module, size: int) -> dict[str, float]:
        return {"figure": float(size + model.training)}


def train(out: Path) -> Path:
    """Train in this process, or in the team that the launcher made."""
    team, device = parallel.join(torch.device("cpu"))
    (out / f"rank-{team.rank}-of-{team.size}").touch()
    spec = loop.Optimiser(lr=0.05, batch=9, ema=0.5, precision="fp32", monitor="figure")
    place = loop.Place(out / "net", device, team)
    # Batches of 9 and a last one of 2: shares of 5 and 4, and one too small to be shared.
    stages = (loop.Stage(6, 2, 29), loop.Stage(8, 1, 20))
    return loop.fit(Squares(), stages, spec, place, seed=3, resume=False)


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(Path(sys.argv[1]))
