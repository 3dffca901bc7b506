"""How near the members' passes come to the rate of a plain matrix product."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import torch

from benchmarks import machine
from benchmarks.figures import ANCHOR, SHORT
from inference_worker import views
from inference_worker.engines import Anchored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.figures import Figures, Kind
    from inference_worker.bundle import Bundle
    from inference_worker.engines import Engine, Engines

_DTYPES: Final[dict[Kind, torch.dtype]] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
}
_REPEATS: Final = 3


def shares(bundle: Bundle, ready: Mapping[Kind, Engines]) -> Figures:
    """Return each precision's share of the matrix rate, for all members and one photo's views.

    In bfloat16 these are the bfloat16 passes alone: what its members' exact passes over the first
    view take is `anchor_ms`, by the photo. Integers have no share, but the GFLOP/s that float32
    would need to be as fast.
    """
    side, device = bundle.manifest.classifier.input.size, bundle.device
    names = views.plan(bundle.manifest.views).identity_first().names
    x = torch.rand(len(names), 3, side, side, device=device)
    work = sum(machine.flops(member, x) for member in bundle.members)
    told: Figures = {"gflop_a_photo": round(work / 1e9, 2)}
    for precision, engines in ready.items():
        members = engines.ladder[0].members
        anchored = [member for member in members if isinstance(member, Anchored)]
        fast: Sequence[Engine] = [member.fast for member in anchored] or members
        took = machine.fastest(partial(_pass, fast, x), _REPEATS, device)
        short = SHORT[precision]
        told[f"gflops_{short}"] = round(work / took / 1e9, 1)
        if precision not in _DTYPES:
            continue
        rate = machine.matmul_rate(_DTYPES[precision], device)
        told[f"share_of_matmul_{short}"] = round(work / took / rate, 3)
        told[f"matmul_gflops_{short}"] = round(rate / 1e9, 1)
        if anchored:
            exact = [member.exact for member in anchored]
            took = machine.fastest(partial(_pass, exact, x[:1]), _REPEATS, device)
            told[ANCHOR] = round(took * 1000, 2)
    return told


def _pass(members: Sequence[Engine], x: torch.Tensor) -> None:
    for member in members:
        member.forward(x)
