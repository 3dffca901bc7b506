"""What the machine can do, measured in the same run: the rate of a plain matrix product."""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


def fastest(work: Callable[[], object], repeats: int) -> float:
    """Return the shortest of `repeats` runs in seconds, after one that is not counted.

    The shortest is the one that the rest of the machine disturbed least.
    """
    work()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def matmul_rate(dtype: torch.dtype, *, side: int = 2048, repeats: int = 5) -> float:
    """Return the FLOP/s of a `side` × `side` matrix product on PyTorch's threads."""
    a, b = torch.rand(side, side).to(dtype), torch.rand(side, side).to(dtype)
    return 2 * side**3 / fastest(lambda: a @ b, repeats)


def flops(network: nn.Module, x: Tensor) -> int:
    """Return the floating-point operations of one pass, a multiplication and an addition as two."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(x)
    return int(counter.get_total_flops())


def peak_memory() -> int:
    """Return the largest resident size that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
