"""Several photos at once: each member passes over the views of all of them together.

For machines that one photo's views do not fill. Each photo is told apart again, and set right by
its own exact view where its member is anchored, so that it gets the answer that it gets alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from inference_worker.engines import Anchored, TorchEngine
from inference_worker.ensemble import Told
from inference_worker.static_shapes import StaticShapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from inference_worker.engines import Engine


def can_ask_together(engine: Engine) -> bool:
    """Tell whether `engine` takes any number of views.

    OpenVINO would be compiled anew for each number, and one photo's views keep a CPU busy.
    """
    if isinstance(engine, Anchored):
        return can_ask_together(engine.fast) and can_ask_together(engine.exact)
    return isinstance(engine, TorchEngine | StaticShapes)


def ask_together(engines: Sequence[Engine], photos: Sequence[Tensor]) -> list[tuple[Told, ...]]:
    """Let every member see the views of all `photos` in one pass; return each photo's answers.

    `photos` float32 n × 3 × side × side each. Nothing is checked: `ensemble.ask` does that for each
    photo, so that no photo fails for another.
    """
    return list(zip(*(_pass(engine, photos) for engine in engines), strict=True))


def _pass(engine: Engine, photos: Sequence[Tensor]) -> list[Told]:
    if isinstance(engine, Anchored):
        coarse = _pass(engine.fast, photos)
        exact = _pass(engine.exact, [views[:1] for views in photos])
        return [
            Told(engine.set_right(one.logits, by.logits), by.features)
            for one, by in zip(coarse, exact, strict=True)
        ]
    sizes = [len(views) for views in photos]
    logits, features = engine.forward(torch.cat(list(photos)))
    parts = zip(torch.split(logits, sizes), torch.split(features, sizes), strict=True)
    # A copy, so that the map of every other view is let go.
    return [Told(some, few[:1].clone()) for some, few in parts]
