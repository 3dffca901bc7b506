"""Engines whose answers lie off by what is asked, as a coarse precision's may."""

from __future__ import annotations

import torch

from inference_worker.engines import Engine


class Larger:
    """An engine whose feature map is larger than it should be, by a factor."""

    def __init__(self, engine: Engine, factor: float) -> None:
        self.engine, self.factor = engine, factor

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, features = self.engine.forward(batch)
        return logits, features * self.factor


class Shifted:
    """An engine whose every logit lies a stated amount off, as a coarse precision's may."""

    def __init__(self, engine: Engine, shift: torch.Tensor) -> None:
        self.engine, self.shift, self.asked = engine, shift, 0

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.asked += 1
        logits, features = self.engine.forward(batch)
        return logits + self.shift, features
