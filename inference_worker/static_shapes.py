"""Passes of a few fixed sizes, which a GPU replays as a graph.

A pass is hundreds of small kernels. Launched one by one from Python, they leave a GPU waiting for a
photo's few views; a CUDA graph launches them at once, always for the same number of views. What a
group of photos lacks of that number is filled up with copies of its last view, and dropped.

What is recorded is compared with the plain pass first, on views that it was not recorded with. A
GPU that cannot record, or replays something else, goes on without; one that is short of memory
tries again later.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import torch

from inference_worker import memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from torch import Tensor

    from inference_worker.engines import Engine

    Step: TypeAlias = "Callable[[Tensor], tuple[Tensor, Tensor]]"

WARM_UPS: Final = 3
"""Passes before the recording: libraries choose their kernels in the first ones."""

SAME: Final = 1e-4
"""How far a replay of float32 may lie from the plain pass: in a logit, where none is beyond
`LARGE`, else in proportion; and in the feature map as a share of its largest number. It runs the
same kernels, so that it hardly differs at all; and nothing asks again after the last rung, so that
this is far within `engines.FLOAT32_BAND`."""

SAME_IN_BFLOAT16: Final = 1e-2
"""The same for bfloat16, far within `engines.BFLOAT16_BAND`."""

LARGE: Final = 10.0
"""A logit from which on rounding grows with it."""

MOST_SHAPES: Final = 4
"""How many sizes of an engine are recorded, the first that come. At the start those are all views
of one photo and, of an engine that anchors another or checks the distribution, one view; then come
those of groups. Larger ones keep a GPU busy without it."""

PASSES_UNTIL_AGAIN: Final = 100
"""How many passes of a size go on without a graph after memory ran out for it. Something else may
have held it for a moment; where it is short for good, a try so seldom costs little."""

logger = logging.getLogger(__name__)


class ReplayError(RuntimeError):
    """What the graph replays is not what the pass said."""


@dataclass(slots=True)
class StaticShapes:
    """An engine whose passes have one of `sizes` views, ascending; larger ones pass as they are.

    `same` is how far a replay may lie from the plain pass.
    """

    engine: Engine
    sizes: tuple[int, ...]
    same: float = SAME
    _passes: dict[int, Step] = field(default_factory=dict)
    _waits: dict[int, int] = field(default_factory=dict)

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Run the engine once over `views`, filled up to the next size."""
        count = len(views)
        size = next((size for size in self.sizes if size >= count), None)
        if size is None:
            return self.engine.forward(views)  # a graph for every number there is would fill memory
        filled = torch.cat([views, views[-1:].expand(size - count, -1, -1, -1)])
        if size not in self._passes and len(self._passes) < MOST_SHAPES:
            self._try(size, filled)
        logits, features = self._passes.get(size, self.engine.forward)(filled)
        return logits[:count], features[:count]

    def _try(self, size: int, filled: Tensor) -> None:
        """Record the passes of `size` unless memory ran out for that not long ago."""
        if self._waits.get(size, 0) > 0:
            self._waits[size] -= 1
        elif (step := _recorded(self.engine, filled, self.same)) is not None:
            self._passes[size] = step
        else:
            self._waits[size] = PASSES_UNTIL_AGAIN


def _recorded(engine: Engine, views: Tensor, same: float) -> Step | None:
    """Return the pass over as many views as these: a graph on a GPU, else the engine's own.

    None where memory ran out: there may be enough another time.
    """
    if not _records(views.device):
        return engine.forward
    try:
        return _record(engine, views, same)
    except RuntimeError as error:
        logger.exception(
            "%d views are not replayed as a graph: launching their kernels", len(views)
        )
        return None if memory.is_short(error) else engine.forward


def _records(device: torch.device) -> bool:
    return device.type == "cuda"


@cache
def _pool() -> Any:
    """Return the memory that all graphs share, whatever the engine: they never run at once.

    Each alone would keep all of its maps. Only what a graph returns is kept from the others, as
    long as something holds it.
    """
    return torch.cuda.graph_pool_handle()


def _record(engine: Engine, views: Tensor, same: float) -> Step:
    """Return the recorded pass over as many views as these. Raises `ReplayError`.

    It is tried on noise, each view another: had it kept the views that it was recorded with, or
    taken one for another, on those it would not show.
    """
    noise = torch.randn(views.shape, generator=torch.Generator().manual_seed(0)).to(views)
    logits, features = engine.forward(noise)
    replay = as_graph(engine.forward, views)
    found, found_features = replay(noise)
    off, off_features = (found - logits).abs().max(), (found_features - features).abs().max()
    borne = same * max(1.0, float(logits.abs().max()) / LARGE)
    # Said so that a NaN is refused too.
    if not (off <= borne and off_features <= same * features.abs().max()):
        raise ReplayError(
            f"a replay is {float(off):.2g} off in a logit and {float(off_features):.2g} in the "
            f"feature map, where {borne:.2g} and {same} of its largest number are borne"
        )
    return replay


def as_graph(step: Step, views: Tensor) -> Step:
    """Return `step` over as many views as these, on a GPU, recorded and replayed as a graph.

    What it was shown and what it said are wiped after each replay: they would stay until the next.
    """
    held = views.clone()
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UPS):
            step(held)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=_pool()):
        told = step(held)

    def replay(new: Tensor) -> tuple[Tensor, Tensor]:
        held.copy_(new)
        graph.replay()
        # The next replay writes into the same memory.
        logits, features = told[0].clone(), told[1].clone()
        with torch.inference_mode():  # in which a step may have made what it said
            for kept in (held, *told):
                kept.zero_()
        return logits, features

    return replay
