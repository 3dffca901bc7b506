"""The stages of one analysis: each reports itself, and its time is taken."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inference_worker.verdict import Stage


class Stages:
    """Tells `on_stage` of each stage as it begins; `timings` are ms per stage, by its value.

    A stage may be left and entered again, while other photos are in theirs.
    """

    def __init__(self, on_stage: Callable[[Stage], None] | None) -> None:
        self._on_stage = on_stage
        self.timings: dict[str, float] = {}

    @contextmanager
    def enter(self, stage: Stage) -> Iterator[None]:
        """Report `stage`, then time what runs inside. What the report costs is not counted."""
        if self._on_stage is not None and stage.value not in self.timings:
            self._on_stage(stage)
        started = time.perf_counter()
        try:
            yield
        finally:
            took = (time.perf_counter() - started) * 1000
            self.timings[stage.value] = round(self.timings.get(stage.value, 0.0) + took, 2)
