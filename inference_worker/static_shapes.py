"""Passes of a few fixed sizes, which a GPU replays as a graph.

A pass is hundreds of small kernels. Launched one by one from Python, they leave a GPU waiting for a
photo's few views; a CUDA graph launches them at once, always for the same number of views. What a
group of photos lacks of that number is filled up with copies of its last view, and dropped.

What is recorded is compared with the plain pass first, and a GPU that cannot record, or replays
something else, goes on without.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from torch import Tensor

    from inference_worker.engines import Engine

    Step: TypeAlias = "Callable[[Tensor], tuple[Tensor, Tensor]]"

WARM_UPS: Final = 3
"""Passes before the recording: libraries choose their kernels in the first ones."""

SAME: Final = 1e-3
"""How far, of the largest logit, a replay may lie from the plain pass; kernels may differ."""

MOST_SHAPES: Final = 4
"""How many sizes of an engine are recorded, the first that come: one view and one photo are asked
for at the start. Larger ones keep a GPU busy without it."""

logger = logging.getLogger(__name__)


class ReplayError(RuntimeError):
    """What the graph replays is not what the pass said."""


@dataclass(slots=True)
class StaticShapes:
    """An engine whose passes have one of `sizes` views, ascending; larger ones pass as they are."""

    engine: Engine
    sizes: tuple[int, ...]
    _passes: dict[int, Step] = field(default_factory=dict)

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Run the engine once over `views`, filled up to the next size."""
        count = len(views)
        size = next((size for size in self.sizes if size >= count), None)
        if size is None:
            return self.engine.forward(views)  # a graph for every number there is would fill memory
        filled = torch.cat([views, views[-1:].expand(size - count, -1, -1, -1)])
        if size not in self._passes and len(self._passes) < MOST_SHAPES:
            self._passes[size] = _recorded(self.engine, filled)
        logits, features = self._passes.get(size, self.engine.forward)(filled)
        return logits[:count], features[:count]


def _recorded(engine: Engine, views: Tensor) -> Step:
    """Return the pass over as many views as these: a graph on a GPU, else the engine's own."""
    if views.device.type != "cuda":
        return engine.forward
    try:
        return _record(engine, views)
    except RuntimeError:
        logger.exception(
            "%d views are not replayed as a graph: launching their kernels", len(views)
        )
        return engine.forward


@cache
def _pool() -> Any:
    """Return the memory that all graphs share, whatever the engine: they never run at once.

    Each alone would keep all of its maps. Only what a graph returns is kept from the others, as
    long as something holds it.
    """
    return torch.cuda.graph_pool_handle()


def _record(engine: Engine, views: Tensor) -> Step:
    expected, _ = engine.forward(views)
    replay = as_graph(engine.forward, views)
    apart = (replay(views)[0] - expected).abs().max()
    if not apart <= SAME * expected.abs().max():
        raise ReplayError(f"a replay is {float(apart):.2g} off in a logit")
    return replay


def as_graph(step: Step, views: Tensor) -> Step:
    """Return `step` over as many views as these, on a GPU, recorded and replayed as a graph."""
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
        return told[0].clone(), told[1].clone()

    return replay
