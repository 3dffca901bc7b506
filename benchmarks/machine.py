"""What the machine can do, measured in the same run: the rate of a plain matrix product."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import torch
from torch.utils.flop_counter import FlopCounterMode

from inference_worker.engine_options import cpu_multiplies_bfloat16, threads
from inference_worker.openvino_cache import runtime
from inference_worker.openvino_engine import OpenVinoNetwork, Precision

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

CPU: Final = torch.device("cpu")
_SIDES: Final = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the matrices: enough of them to keep the device busy."""
_PRECISIONS: Final[dict[torch.dtype, Precision]] = {
    torch.float32: "float32",
    torch.bfloat16: "bfloat16",
}


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
    """Return the FLOP/s of a large square matrix product on `device`, by the faster library here.

    On a CPU that is PyTorch or OpenVINO: the one leaves half of what some CPUs can do in float32.
    """
    side = _SIDES[device.type]
    a, b = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
    ways: list[Callable[[], object]] = [lambda: a @ b]
    if device.type == "cpu":
        ways.append(_openvino_product(a.float(), b.float(), dtype))
    return 2 * side**3 / min(fastest(way, repeats, device) for way in ways)


def _openvino_product(a: Tensor, b: Tensor, dtype: torch.dtype) -> Callable[[], object]:
    """Return what multiplies `a` by the weights `b` as the engine's networks do theirs."""
    ov, side = runtime(), len(b)
    x = ov.opset13.parameter([side, side], ov.Type.f32)
    product = ov.opset13.matmul(x, ov.opset13.constant(b.numpy()), False, False)
    network = OpenVinoNetwork(ov.Model([product], [x]), _PRECISIONS[dtype], threads())
    return lambda: network.run(a)


def flops(network: nn.Module, x: Tensor) -> int:
    """Return the floating-point operations of one pass, a multiplication and an addition as two."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(x)
    return int(counter.get_total_flops())
