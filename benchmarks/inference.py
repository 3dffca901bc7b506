"""`python -m benchmarks.inference`: ours against the plain reference, in one run.

Same weights, same photos: times, ratios, achieved FLOP/s beside those of a matrix product, memory
and the largest differences. `share_of_matmul_bf16` is that of the bfloat16 passes alone: the exact
pass that sets each member right is `anchor_ms`, and counts in every time of a photo. `asked_again_`
tells of which share of the photos the answer lay so near a decision that the next engine was asked;
it is that one's then, in the times and in the differences. `load_s` and `peak_memory_mb` are this
process's, which has both precisions, PyTorch's networks and what converts them; `product_load_s`
and `product_memory_mb` are those of a worker's model. The last line with `--json` is one JSON
object; what is bfloat16 is null there where the machine has no instructions for it. With `--int8`
there are figures of integers too, which a folder of photos calibrates; `product_…_int8` are those
of a worker that asks integers first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import torch

from benchmarks import (
    comparison,
    figures,
    machine,
    material,
    memory,
    product_load,
    rates,
    together,
    workers,
)
from benchmarks.photos import draw_photos, read_photos
from inference_worker import engines, quantise
from inference_worker.bundle import load
from inference_worker.engine_options import ENGINES, Options, threads
from inference_worker.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.figures import Figures
    from inference_worker.engine_options import EngineName
    from inference_worker.pixels import Pixels

STARTER: Final = Path(__file__).parents[1] / "inference_worker" / "bundles" / "starter"


@dataclass(frozen=True, slots=True)
class Setting:
    """Where to run, and by what; groups of `together` photos, none of them where it is 0.

    `workers` processes judge such groups beside one another, where there are more than one. `int8`
    photos calibrate integers; None leaves these out.
    """

    cache: Path
    device: torch.device = machine.CPU
    engine: EngineName = "auto"
    together: int = 0
    workers: int = 1
    int8: Path | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, return 0."""
    parser = _parser()
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    if device.type == "cuda" and options.engine == "openvino":
        parser.error("OpenVINO runs on the CPU only: leave --device or --engine out")
    if options.int8 and (device.type == "cuda" or options.engine == "torch"):
        parser.error("integers are OpenVINO's, on the CPU: leave --device, --engine or --int8 out")
    if options.int8 and options.cache:
        parser.error("--int8 would take the place of what is in --cache: leave one out")
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("error: PyTorch finds no GPU: use --device cpu")
    torch.set_num_threads(threads())
    cv2.setNumThreads(threads())
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
            say("placing the gate between the answers")
            material.place_gate(folder, photos)
        cache = options.cache or Path(made) / "cache"
        setting = Setting(
            cache, device, options.engine, options.together, options.workers, options.int8
        )
        told = measure(folder, photos, setting)
    print(json.dumps(told) if options.json else "\n".join(f"{k}: {v}" for k, v in told.items()))
    return 0


def measure(folder: Path, photos: Sequence[Pixels], setting: Setting) -> Figures:
    """Return all figures of the bundle in `folder` on `photos`."""
    device = setting.device
    engine: EngineName = "openvino" if device.type == "cpu" else "torch"
    if setting.engine != "auto":
        engine = setting.engine
    precisions = figures.PRECISIONS
    if not machine.multiplies_bfloat16(device):
        say(f"this {device.type} has no instructions for bfloat16: its figures are null")
        precisions = precisions[:1]
    if setting.int8:
        _quantise(folder, setting.int8, setting.cache)
        precisions = (*precisions, "int8")
    started = time.perf_counter()
    bundle = load(folder, device=device)
    ready = {p: engines.build(bundle, Options(engine, p, setting.cache)) for p in precisions}
    ours = {precision: Pipeline(bundle, networks) for precision, networks in ready.items()}
    for pipeline in ours.values():
        pipeline.run(photos[0], always_classify=True)
    told: Figures = {
        "bundle": bundle.manifest.name,
        "photos": len(photos),
        "device": device.type,
        "engine": engine,
        "threads": threads(),
        "load_s": round(time.perf_counter() - started, 2),
        "peak_memory_mb": round(memory.peak() / 2**20),
    }
    say(f"loaded, converted and warm in {told['load_s']} s; {told['peak_memory_mb']} MB")
    rated = rates.shares(bundle, ready)
    say(f"matrix product and members: {rated}")
    # On a GPU the engines have laid the weights out anew: the reference has its own.
    reference = bundle if device.type == "cpu" else load(folder, device=device)
    told |= rated | comparison.compare(reference, ours, photos)
    if setting.together:
        told |= together.saturate(ours, photos, setting.together)
    if setting.workers > 1:
        told |= workers.saturate(
            folder,
            setting.cache,
            setting.engine,
            device.type,
            workers=setting.workers,
            number=setting.together or 1,
        )
    told |= product_load.measure(folder, setting.cache, setting.engine, device.type)
    if setting.int8:
        of_integers = product_load.measure(folder, setting.cache, "openvino-int8", device.type)
        told |= {f"{name}_int8": figure for name, figure in of_integers.items()}
    return figures.complete(told)


def _quantise(folder: Path, photos: Path, cache: Path) -> None:
    """Let a process of its own make integers, whose memory is none of what is measured here."""
    command = [sys.executable, "-m", quantise.__name__, str(folder), str(photos), str(cache)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - a module of ours
    if done.returncode:
        sys.exit("error: no integers could be made")
    say(done.stdout.strip())


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
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--engine",
        choices=("auto", *ENGINES),
        default="auto",
        help="what runs the networks; on a GPU it is PyTorch",
    )
    parser.add_argument(
        "--together", type=int, default=0, metavar="N", help="judge N photos at once too"
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="N processes beside one another too"
    )
    parser.add_argument("--int8", type=Path, metavar="PHOTOS", help="measure integers too")
    parser.add_argument("--cache", type=Path, help="keep converted networks there")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    return parser


if __name__ == "__main__":
    sys.exit(main())
