"""`python -m benchmarks.inference`: ours against the plain reference, in one run.

Same weights, same photos, one after the other on each photo, so that what else the machine does
weighs on all alike. The last line with `--json` is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import torch

from benchmarks import machine, material, naive
from benchmarks.photos import draw_photos, read_photos
from inference_worker import engines
from inference_worker.bundle import load
from inference_worker.engine_options import Options
from inference_worker.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from inference_worker.bundle import Bundle
    from inference_worker.pixels import Pixels
    from inference_worker.verdict import Verdict

STARTER: Final = Path(__file__).parents[1] / "inference_worker" / "bundles" / "starter"
_SHORT: Final = {"float32": "fp32", "bfloat16": "bf16"}
_PRECISIONS: Final[tuple[Literal["float32", "bfloat16"], ...]] = ("float32", "bfloat16")
_DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(slots=True)
class Times:
    """Seconds of each photo on the clock, and of the processor."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def add(self, work: Callable[[], object]) -> None:
        """Take the time of `work`."""
        clock, processor = time.perf_counter(), time.process_time()
        work()
        self.clock.append(time.perf_counter() - clock)
        self.processor.append(time.process_time() - processor)

    def spread(self) -> str:
        """Return median, least and most."""
        return f"{median(self.clock):.3f} s ({min(self.clock):.3f}–{max(self.clock):.3f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, return 0."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(engines.threads())
    photos = (
        read_photos(options.photos, options.count) if options.photos else draw_photos(options.count)
    )
    if not photos:
        sys.exit(f"error: no .jpg or .png in {options.photos}")
    with tempfile.TemporaryDirectory() as made:
        folder = options.bundle
        if options.arch:
            say(f"writing {options.members} × {options.arch} with random weights")
            folder = material.write_bundle(
                Path(made),
                options.arch,
                members=options.members,
                side=options.side,
                views=options.views,
            )
        told = measure(folder, photos, options.cache or Path(made) / "cache")
    print(json.dumps(told) if options.json else "\n".join(f"{k}: {v}" for k, v in told.items()))
    return 0


def measure(folder: Path, photos: Sequence[Pixels], cache: Path) -> dict[str, float | int | str]:
    """Return all figures of the bundle in `folder` on `photos`."""
    started = time.perf_counter()
    bundle = load(folder)
    ready = {p: engines.build(bundle, Options("openvino", p, cache)) for p in _PRECISIONS}
    ours = {name: Pipeline(bundle, engine) for name, engine in ready.items()}
    for pipeline in ours.values():
        pipeline.run(photos[0], always_classify=True)
    told: dict[str, float | int | str] = {
        "bundle": bundle.manifest.name,
        "photos": len(photos),
        "threads": engines.threads(),
        "load_s": round(time.perf_counter() - started, 2),
        "peak_memory_mb": round(machine.peak_memory() / 2**20),
    }
    say(f"loaded, converted and warm in {told['load_s']} s; {told['peak_memory_mb']} MB")
    rates = _shares(bundle, ready, told)
    say(f"matrix product and members: {rates}")
    told |= _compare(bundle, ours, photos)
    return told


def _shares(
    bundle: Bundle,
    ready: dict[Literal["float32", "bfloat16"], engines.Engines],
    told: dict[str, float | int | str],
) -> str:
    """Add each precision's share of the matrix rate in the members' passes; return a summary."""
    unique = len(set(bundle.manifest.views)) - ({"hvflip", "rot180"} <= set(bundle.manifest.views))
    side = bundle.manifest.classifier.input.size
    x = torch.rand(max(unique, 1), 3, side, side)
    work = sum(machine.flops(member, x) for member in bundle.members)
    parts = []
    for precision in _PRECISIONS:
        members = ready[precision].ladder[0].members
        took = machine.fastest(lambda members=members: [m.forward(x) for m in members], 3)  # type: ignore[misc]
        rate = machine.matmul_rate(_DTYPES[precision])
        short = _SHORT[precision]
        told[f"share_of_matmul_{short}"] = round(work / took / rate, 3)
        told[f"gflops_{short}"] = round(work / took / 1e9, 1)
        told[f"matmul_gflops_{short}"] = round(rate / 1e9, 1)
        parts.append(f"{short} {work / took / 1e9:.0f} of {rate / 1e9:.0f} GFLOP/s")
    return ", ".join(parts)


def _compare(
    bundle: Bundle, ours: dict[Literal["float32", "bfloat16"], Pipeline], photos: Sequence[Pixels]
) -> dict[str, float | int | str]:
    """Judge every photo by each; return times, ratios and the largest differences."""
    times = {name: Times() for name in ("naive", *_PRECISIONS)}
    apart: dict[str, list[float]] = {name: [] for name in _PRECISIONS}
    cams: dict[str, list[float]] = {name: [] for name in _PRECISIONS}
    changed = dict.fromkeys(_PRECISIONS, 0)
    plain = Pipeline(bundle)
    for number, pixels in enumerate(photos, 1):
        expected = plain.run(pixels, always_classify=True)
        answers: list[naive.Answer] = []
        times["naive"].add(lambda a=answers, p=pixels: a.append(naive.judge(bundle, p)))  # type: ignore[misc]
        for name in _PRECISIONS:
            verdicts: list[Verdict] = []
            times[name].add(
                lambda v=verdicts, n=name, p=pixels: v.append(ours[n].run(p, always_classify=True))  # type: ignore[misc]
            )
            apart[name].append(_apart(verdicts[0], answers[0]))
            cams[name].append(_cams_apart(verdicts[0], expected))
            changed[name] += _category(verdicts[0]) != _category(expected)
        say(
            f"{number}/{len(photos)} "
            + ", ".join(f"{k} {t.clock[-1]:.3f}" for k, t in times.items())
        )
    told: dict[str, float | int | str] = {"naive_s": times["naive"].spread()}
    for name in _PRECISIONS:
        short, own, other = _SHORT[name], times[name], times["naive"]
        told[f"ours_{short}_s"] = own.spread()
        told[f"images_per_s_{short}"] = round(1 / median(own.clock), 2)
        told[f"speedup_{short}"] = round(median(other.clock) / median(own.clock), 2)
        told[f"speedup_of_processor_time_{short}"] = round(
            median(other.processor) / median(own.processor), 2
        )
        told[f"max_abs_probability_difference_{short}"] = max(apart[name])
        told[f"max_abs_heatmap_difference_{short}"] = round(max(cams[name]), 5)
        told[f"categories_changed_{short}"] = changed[name]
    return told


def _apart(verdict: Verdict, answer: naive.Answer) -> float:
    said = verdict.classification
    if said is None:
        raise RuntimeError("the pipeline was asked to classify whatever it thinks of the photo")
    return abs(said.p_malignant - answer.p_malignant)


def _cams_apart(verdict: Verdict, expected: Verdict) -> float:
    pair = [np.array(v.heatmap.grid) for v in (verdict, expected) if v.heatmap is not None]
    return float(np.abs(pair[0] - pair[1]).max())


def _category(verdict: Verdict) -> tuple[object, object]:
    said = verdict.classification
    return verdict.rejection, said and said.category


def say(text: str) -> None:
    """Print progress beside the result."""
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--bundle", type=Path, default=STARTER, help="a bundle's folder")
    which.add_argument("--arch", help="a network by timm's name, with random weights")
    parser.add_argument("--members", type=int, default=5, help="of --arch")
    parser.add_argument("--side", type=int, default=224, help="of --arch, px")
    parser.add_argument("--views", type=int, default=9, choices=range(1, 10), help="of --arch")
    parser.add_argument("--photos", type=Path, help="a folder of photos; drawn ones without it")
    parser.add_argument("--count", type=int, default=5, help="how many photos")
    parser.add_argument("--cache", type=Path, help="keep converted networks there")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    return parser


if __name__ == "__main__":
    sys.exit(main())
