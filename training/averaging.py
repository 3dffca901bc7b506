"""The exponential moving average of a network's weights, which is what is kept of a training."""

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
