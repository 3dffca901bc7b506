"""What a machine does at saturation: groups of photos, as a worker judges those that wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.figures import SHORT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.figures import Figures, Kind
    from inference_worker.pipeline import Pipeline
    from inference_worker.pixels import Pixels
    from inference_worker.verdict import Verdict

GROUPS: Final = 3


def saturate(ours: Mapping[Kind, Pipeline], photos: Sequence[Pixels], number: int) -> Figures:
    """Return the photos a second of each of `ours`, `number` at a time, cleaning included.

    The `photos` come again and again. A first group, which engines may compile at, is not timed.
    """
    group = group_of(photos, number)
    told: Figures = {"together": number}
    for precision, pipeline in ours.items():
        judge(pipeline, group)
        started = time.perf_counter()
        for _ in range(GROUPS):
            judge(pipeline, group)
        took = time.perf_counter() - started
        told[f"images_per_s_together_{SHORT[precision]}"] = round(GROUPS * number / took, 2)
    return told


def group_of(photos: Sequence[Pixels], number: int) -> list[Pixels]:
    """Return `number` of the `photos`, each again and again where there are fewer."""
    return [photos[index % len(photos)] for index in range(number)]


def judge(pipeline: Pipeline, group: Sequence[Pixels]) -> list[Verdict]:
    """Judge all of `group` together; nothing is left to do on any device then."""
    begun = [pipeline.begin(pixels, always_classify=True) for pixels in group]
    pipeline.ask_together(begun)
    return [pipeline.finish(photo) for photo in begun]
