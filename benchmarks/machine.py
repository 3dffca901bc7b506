"""What the machine can do, measured in the same run: the rate of a plain matrix product."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import torch
from torch.utils.flop_counter import FlopCounterMode

from inference_worker.engine_options import cpu_multiplies_bfloat16

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

CPU: Final = torch.device("cpu")
_SIDES: Final = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the matrices: enough of them to keep the device busy."""


def fastest(work: Callable[[], object], repeats: int, device: torch.device = CPU) -> float:
    """Return the shortest of `repeats` runs on `device` in seconds, after one that is not counted.

    The shortest is the one that the rest of the machine disturbed least.
    """

    def once() -> float:
        started = time.perf_counter()
        work()
        wait_for(device)
        return time.perf_counter() - started

    once()
    return min(once() for _ in range(repeats))


def wait_for(device: torch.device) -> None:
    """Wait until `device` has done what it was given: a GPU works on when the call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def multiplies_bfloat16(device: torch.device) -> bool:
    """Tell whether bfloat16 is computed as such on `device`.

    On a CPU without instructions for it OpenVINO computes float32, whatever it is told.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return cpu_multiplies_bfloat16()


def matmul_rate(dtype: torch.dtype, device: torch.device = CPU, repeats: int = 5) -> float:
    """Return the FLOP/s of a large square matrix product by PyTorch on `device`."""
    side = _SIDES[device.type]
    a, b = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / fastest(lambda: a @ b, repeats, device)


def flops(network: nn.Module, x: Tensor) -> int:
    """Return the floating-point operations of one pass, a multiplication and an addition as two."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(x)
    return int(counter.get_total_flops())
