"""bf16 on a CPU with AMX, where it is faster than float32, and float32 where it is not."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


def depthwise_in_float32(model: nn.Module) -> nn.Module:
    """Make `model`'s depthwise convolutions leave autocast, in place; return it.

    Measured on two AMX cores at 160 px, forward and backward: all in bf16 36 ms a photo, all in
    float32 25 ms, bf16 with depthwise in float32 23 ms: oneDNN has no fast bf16 backward for them.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.forward = functools.partial(_in_float32, module)  # type: ignore[method-assign]
    return model


def _in_float32(module: nn.Conv2d, x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return nn.Conv2d.forward(module, x.float())
