"""What instructions for bfloat16 compute, for tests on a CPU that has none of them.

OpenVINO computes in float32 there without a word, and PyTorch takes twenty times as long. So the
arithmetic is imitated: what goes into each convolution, its weights and what comes out of it are
rounded to bfloat16, and sums stay float32.
"""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import torch
from torch import nn

from inference_worker import engines
from inference_worker.bundle import Bundle
from inference_worker.engine_options import cpu_multiplies_bfloat16, parse
from inference_worker.engines import Engines, Rung, TorchEngine


def bfloat16_ladder(bundle: Bundle, cache: Path, *, imitated: bool = False) -> Engines:
    """Return the ladder of a CPU with bfloat16; where this one has none, with it imitated."""
    if cpu_multiplies_bfloat16() and not imitated:
        return engines.build(bundle, parse("openvino-bfloat16", cache=cache))
    ready = engines.build(bundle, parse("openvino-float32", cache=cache))
    exact, reference = ready.ladder
    pairs = zip(bundle.members, exact.members, strict=True)
    fast = tuple(engines.Anchored(TorchEngine(rounded(member)), true) for member, true in pairs)
    again = tuple(engines.ViewByView(member) for member in exact.members)
    rungs = (
        Rung("rounded to bfloat16", fast, engines.BFLOAT16_BAND),
        dataclasses.replace(exact, members=again),
        reference,
    )
    return dataclasses.replace(ready, ladder=rungs)


def rounded(member: nn.Module) -> nn.Module:
    """Return a copy of `member` that computes so."""
    network = copy.deepcopy(member)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.data = _round(module.weight.data)
            module.register_forward_pre_hook(lambda _, inputs: tuple(map(_round, inputs)))
            module.register_forward_hook(lambda _, __, out: _round(out))
    return network


def _round(x: torch.Tensor) -> torch.Tensor:
    return x.bfloat16().float()
