"""`python -m benchmarks.cost`: what a photo costs, by batch, resolution, members and views.

The members' passes alone, with random weights, which cost what trained ones do: they are nearly all
of a photo's time, and the only part that these four change. Each panel varies one of them and keeps
the others. The last line is one JSON object; `--out` draws it.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from benchmarks import machine
from inference_worker import openvino_cache
from inference_worker.architectures import ClassifierSpec, build_classifier
from inference_worker.engine_options import cpu_multiplies_bfloat16, threads
from inference_worker.openvino_engine import OpenVinoNetwork
from inference_worker.verdict import CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from inference_worker.openvino_engine import Precision

BATCHES: Final = (1, 2, 4, 8, 16, 32)
SIDES: Final = (64, 96, 128, 160, 192, 224)
MOST_VIEWS: Final = 8
"""Nine are asked for, and two of them are the same."""

TITLES: Final = {
    "batch": ("views in one pass", "ms a view and member"),
    "side": ("side of a view, px", "ms a photo"),
    "members": ("members", "ms a photo"),
    "views": ("views", "ms a photo"),
}


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: `seconds` at the value `at` of what the `panel` varies."""

    panel: str
    at: int
    precision: Precision
    seconds: float


@dataclass(frozen=True, slots=True)
class Setting:
    """What is kept where something else varies; `repeats` of each pass, the fastest counts."""

    members: int
    side: int
    views: int
    repeats: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, draw if asked to, print, return 0."""
    options = _parser().parse_args(arguments)
    setting = Setting(options.members, options.side, options.views, options.repeats)
    say(f"converting {setting.members} × {options.arch}")
    models = [
        openvino_cache.convert(_member(options.arch, number), setting.side, f"member {number}")
        for number in range(setting.members)
    ]
    precisions: list[Precision] = ["float32"]
    if cpu_multiplies_bfloat16():
        precisions.append("bfloat16")
    points = []
    for precision in precisions:
        networks = [OpenVinoNetwork(model, precision, threads()) for model in models]
        for point in measure(networks, precision, setting):
            say(f"{precision} {point.panel} {point.at}: {point.seconds * 1000:.1f} ms")
            points.append(point)
    if options.out:
        draw(points, f"{setting.members} × {options.arch}", options.out)
    told = {
        "arch": options.arch,
        "threads": threads(),
        **asdict(setting),
        "points": [asdict(point) for point in points],
    }
    print(json.dumps(told))
    return 0


def measure(
    networks: Sequence[OpenVinoNetwork], precision: Precision, setting: Setting
) -> Iterator[Point]:
    """Yield the points of every panel, for networks of one precision."""
    for batch in BATCHES:
        took = _fastest(networks[:1], batch, setting.side, setting.repeats)
        yield Point("batch", batch, precision, took / batch)
    for side in SIDES:
        took = _fastest(networks, setting.views, side, setting.repeats)
        yield Point("side", side, precision, took)
    for members in range(1, len(networks) + 1):
        took = _fastest(networks[:members], setting.views, setting.side, setting.repeats)
        yield Point("members", members, precision, took)
    for views in range(1, MOST_VIEWS + 1):
        took = _fastest(networks, views, setting.side, setting.repeats)
        yield Point("views", views, precision, took)


def draw(points: Sequence[Point], title: str, out: Path) -> None:
    """Write one picture with a panel for each thing that varies; its suffix says the format."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.4), layout="constrained")
    figure.suptitle(title)
    for axes, (panel, (varies, costs)) in zip(
        figure.subplots(2, 2).flat, TITLES.items(), strict=True
    ):
        own = [point for point in points if point.panel == panel]
        for precision in dict.fromkeys(point.precision for point in own):
            line = [point for point in own if point.precision == precision]
            costs_ms = [point.seconds * 1000 for point in line]
            axes.plot([point.at for point in line], costs_ms, marker="o", label=precision)
        axes.set(xlabel=varies, ylabel=costs, ylim=(0, None))
        axes.set_xticks(sorted({point.at for point in own}))
        axes.grid(alpha=0.3)
        axes.legend()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)


def _fastest(networks: Sequence[OpenVinoNetwork], views: int, side: int, repeats: int) -> float:
    x = torch.rand(views, 3, side, side)
    return machine.fastest(lambda: [network.run(x) for network in networks], repeats)


def _member(architecture: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    classifier = build_classifier(ClassifierSpec(architecture), len(CLASSES))
    return openvino_cache.WithMap(classifier.eval())


def say(text: str) -> None:
    """Print progress beside the result."""
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("--arch", default="mobilenetv2_050", help="a network by timm's name")
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--side", type=int, default=128, help="px, where the side is not varied")
    parser.add_argument("--views", type=int, default=MOST_VIEWS, choices=range(1, MOST_VIEWS + 1))
    parser.add_argument("--repeats", type=int, default=5, help="of each pass; the fastest counts")
    parser.add_argument("--out", type=Path, help="a picture, .svg or .png")
    return parser


if __name__ == "__main__":
    sys.exit(main())
