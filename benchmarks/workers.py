"""Several workers beside one device: what they judge together, each in a process of its own.

Each is `python -m benchmarks.workers BUNDLE CACHE ENGINE NUMBER SECONDS`: it loads the bundle and
judges a first group of NUMBER photos as a worker does, says that it is ready, waits for a line of
its standard input, and judges groups for SECONDS.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from benchmarks.photos import draw_photos
from benchmarks.product_load import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.figures import Figures

SECONDS: Final = 10.0
_DRAWN: Final = 5


class WorkerError(RuntimeError):
    """A worker did not come up, or ended before its figures."""


def saturate(
    folder: Path, cache: Path, engine: str, device: str, *, workers: int, number: int
) -> Figures:
    """Return the photos a second of `workers` processes, in groups of `number`.

    `cache`, `engine` and `device` as in `product_load.measure`. Raises `WorkerError`.
    """
    command = [sys.executable, "-m", __name__, *map(str, (folder.resolve(), cache.resolve()))]
    command += [engine, str(number), str(SECONDS)]
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                subprocess.Popen(  # noqa: S603 - this module, by its name, on two folders
                    command,
                    cwd=ROOT,
                    env=environment(device),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(workers)
        ]
        for child in children:
            stack.callback(child.kill)
        for child in children:
            _line(child.stdout)
        for child in children:
            print(file=child.stdin, flush=True)
        told = [json.loads(_line(child.stdout)) for child in children]
    rate = sum(one["photos"] / one["s"] for one in told)
    return {"workers": workers, "images_per_s_of_workers": round(rate, 2)}


def _line(stream: IO[str] | None) -> str:
    """Return the next line; raise `WorkerError` where the process has ended without one."""
    line = stream.readline() if stream else ""
    if not line:
        raise WorkerError("a worker ended before its figures; why, it has told above")
    return line


def main(arguments: Sequence[str]) -> int:
    """Load, judge one group, wait for a line, judge on; return 0."""
    from benchmarks.together import group_of, judge
    from inference_worker.engine_options import parse
    from inference_worker.pipeline import current

    folder, cache, engine, number, seconds = arguments
    pipeline = current(Path(folder), parse(engine, cache=Path(cache)))
    pipeline.warm()
    group = group_of(draw_photos(_DRAWN), int(number))
    judge(pipeline, group)
    print("ready", flush=True)
    sys.stdin.readline()
    started, photos = time.perf_counter(), 0
    while time.perf_counter() - started < float(seconds):
        photos += len(judge(pipeline, group))
    print(json.dumps({"photos": photos, "s": time.perf_counter() - started}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
