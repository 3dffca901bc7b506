"""Ours against the plain reference: times, ratios and the largest differences.

One after the other on each photo, so that what else the machine does weighs on all alike.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from benchmarks import naive
from benchmarks.figures import SHORT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.figures import Figures, Kind
    from inference_worker.bundle import Bundle
    from inference_worker.pipeline import Pipeline
    from inference_worker.pixels import Pixels
    from inference_worker.verdict import Verdict

T = TypeVar("T")


@dataclass(slots=True)
class Times:
    """Seconds of each photo on the clock, and of the processor."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def take(self, work: Callable[[], T]) -> T:
        """Take the time of `work`; return what it returns."""
        clock, processor = time.perf_counter(), time.process_time()
        done = work()
        self.clock.append(time.perf_counter() - clock)
        self.processor.append(time.process_time() - processor)
        return done

    def spread(self) -> str:
        """Return median, least and most."""
        return f"{median(self.clock):.3f} s ({min(self.clock):.3f}–{max(self.clock):.3f})"


@dataclass(slots=True)
class Apart:
    """How far answers lie from the reference's: the most of a probability, and of a grid's cell.

    `changed` counts the categories that differ.
    """

    probability: float = 0.0
    heatmap: float = 0.0
    changed: int = 0

    def add(self, verdict: Verdict, answer: naive.Answer) -> None:
        """Compare what both say of one photo; raise ValueError where `verdict` lacks a part."""
        said, heatmap = verdict.classification, verdict.heatmap
        if said is None or heatmap is None:
            raise ValueError("a photo without an opinion: ask for one whatever the photo is like")
        own, other = said.probabilities, answer.opinion
        pairs = [(own[name], probability) for name, probability in other.probabilities.items()]
        pairs += [(said.p_malignant, other.p_malignant)]
        if said.p_melanoma is not None and other.p_melanoma is not None:
            pairs += [(said.p_melanoma, other.p_melanoma)]
        self.probability = max(self.probability, *(abs(one - two) for one, two in pairs))
        cells = np.abs(np.array(heatmap.grid) - answer.heatmap())
        self.heatmap = max(self.heatmap, float(cells.max()))
        self.changed += said.category != answer.category


def compare(reference: Bundle, ours: Mapping[Kind, Pipeline], photos: Sequence[Pixels]) -> Figures:
    """Judge every photo by the `reference` and by each of `ours`; return what came of it."""
    plain = Times()
    times = {name: Times() for name in ours}
    apart = {name: Apart() for name in ours}
    again = dict.fromkeys(ours, 0)
    for number, pixels in enumerate(photos, 1):
        answer = plain.take(partial(naive.judge, reference, pixels))
        for name, pipeline in ours.items():
            verdict, rungs = times[name].take(partial(judge, pipeline, pixels))
            apart[name].add(verdict, answer)
            again[name] += rungs > 1
        last = ", ".join(f"{name} {own.clock[-1]:.3f}" for name, own in times.items())
        print(f"{number}/{len(photos)} naive {plain.clock[-1]:.3f}, {last}", file=sys.stderr)
    told: Figures = {"naive_s": plain.spread()}
    for name, own in times.items():
        short, found = SHORT[name], apart[name]
        ratio = median(plain.clock) / median(own.clock)
        of_processor = median(plain.processor) / median(own.processor)
        told[f"ours_{short}_s"] = own.spread()
        told[f"images_per_s_{short}"] = round(1 / median(own.clock), 2)
        told[f"speedup_{short}"] = round(ratio, 2)
        told[f"speedup_of_processor_time_{short}"] = round(of_processor, 2)
        told[f"max_abs_probability_difference_{short}"] = found.probability
        told[f"max_abs_heatmap_difference_{short}"] = round(found.heatmap, 5)
        told[f"categories_changed_{short}"] = found.changed
        told[f"asked_again_{short}"] = round(again[name] / len(photos), 3)
    return told


def judge(pipeline: Pipeline, pixels: Pixels) -> tuple[Verdict, int]:
    """Return the verdict on one photo, and how many rungs of the ladder were asked for it."""
    photo = pipeline.begin(pixels, always_classify=True)
    return pipeline.finish(photo), photo.rungs
