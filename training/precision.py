"""In which precision a machine trains fast: bf16 where it has units for it, float32 elsewhere."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import torch
from torch import nn

from inference_worker.engine_options import cpu_multiplies_bfloat16

if TYPE_CHECKING:
    from torch import Tensor

Precision: TypeAlias = Literal["bf16", "fp16", "fp32"]

logger = logging.getLogger(__name__)

_KINDS: Final = {"bf16": torch.bfloat16, "fp16": torch.float16}


def on(device: torch.device, wanted: Precision) -> Precision:
    """Return the precision to train in on `device`, where a recipe wants `wanted`.

    A device without instructions for bf16 would emulate it, many times slower: float32 there, and
    a line in the log.
    """
    if wanted == "bf16" and not _has_bf16(device):
        logger.warning("%s has no instructions for bf16: training in float32", device.type)
        return "fp32"
    return wanted


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return the context of a forward pass on `device` in `precision`."""
    kind = _KINDS.get(precision)
    return torch.autocast(device.type, kind or torch.bfloat16, enabled=kind is not None)


def depthwise_in_float32(model: nn.Module) -> nn.Module:
    """Make `model`'s depthwise convolutions leave autocast on a CPU, in place; return it.

    Measured on two AMX cores at 160 px, forward and backward: all in bf16 36 ms a photo, all in
    float32 25 ms, bf16 with depthwise in float32 23 ms: oneDNN has no fast bf16 backward for them.
    A GPU has one.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.forward = functools.partial(_in_float32, module)  # type: ignore[method-assign]
    return model


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cpu":
        return cpu_multiplies_bfloat16()
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


def _in_float32(module: nn.Conv2d, x: Tensor) -> Tensor:
    if x.device.type != "cpu":
        return nn.Conv2d.forward(module, x)
    with torch.autocast(x.device.type, enabled=False):
        return nn.Conv2d.forward(module, x.float())
