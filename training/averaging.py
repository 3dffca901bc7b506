"""Means of a network's weights: the moving one, which is what is kept of a training, and of two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn


@torch.no_grad()
def move(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights and running statistics towards the model's."""
    kept, fresh = [], []
    for own, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if own.dtype.is_floating_point:
            kept.append(own)
            fresh.append(new)
        else:
            own.copy_(new)
    torch._foreach_lerp_(kept, fresh, 1 - decay)


@torch.no_grad()
def blend(found: nn.Module, led_to: nn.Module, share: float) -> None:
    """Move the weights and running statistics of `led_to` back, to `share` of the way there."""
    move(led_to, found, share)
