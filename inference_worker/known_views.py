"""What exact engines have said of a photo's first view, so that none is asked for it twice.

The check of the distribution, the anchor of a bfloat16 member and the float32 rung after it all
want the same pass: that of one network over the photo as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from inference_worker.engines import Anchored, ViewByView
from inference_worker.ensemble import Known, Told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from inference_worker.engines import Engine, Rung


@dataclass(slots=True)
class Remembering:
    """An engine that repeats what it said of the first single view that it saw."""

    engine: Engine
    known: Known | None = None

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is known of `views`, else run the engine over them."""
        if self.known is not None and torch.equal(self.known.view, views):
            return self.known.told.logits, self.known.told.features
        logits, features = self.engine.forward(views)
        if self.known is None and len(views) == 1:
            self.known = Known(views, Told(logits, features))
        return logits, features


def remembering(ladder: Sequence[Rung], first: Engine, known: Known | None) -> tuple[Rung, ...]:
    """Return `ladder` for one photo: what an exact engine says on one rung is known on the next.

    `known` is what the engine `first` has said already.
    """
    shared: dict[int, Remembering] = {id(first): Remembering(first, known)}

    def share(engine: Engine) -> Remembering:
        return shared.setdefault(id(engine), Remembering(engine))

    def of_this_photo(member: Engine) -> Engine:
        if isinstance(member, Anchored):
            return replace(member, exact=share(member.exact))
        if isinstance(member, ViewByView):
            return replace(member, engine=share(member.engine))
        return member  # it passes over all views at once: that of one view saves it nothing

    return tuple(replace(rung, members=tuple(map(of_this_photo, rung.members))) for rung in ladder)
