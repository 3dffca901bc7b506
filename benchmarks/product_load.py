"""What a worker's model takes to be ready, in time and memory, in a process of its own.

That process is `python -m benchmarks.product_load BUNDLE CACHE ENGINE`. It opens the bundle and
warms its engines as a worker does. What Celery and Django take beside it, `benchmarks.platform`
measures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.figures import Figures

ROOT: Final = Path(__file__).resolve().parents[1]


def measure(folder: Path, cache: Path, engine: str, device: str) -> Figures:
    """Return the s from the start of that process to a warm model, and its most memory in MB.

    And which rung of the ladder it asks first.

    `cache` holds the converted networks already. `engine` is what `INFERENCE_ENGINE` may be,
    `device` is `cpu` or `cuda`.
    Raises `subprocess.CalledProcessError`; why, that process has told.
    """
    started = time.monotonic()
    done = subprocess.run(  # noqa: S603 - this module, by its name, on two folders
        [sys.executable, "-m", __name__, str(folder.resolve()), str(cache.resolve()), engine],
        cwd=ROOT,
        env=environment(device),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    return {
        "product_load_s": round(told["ready_at"] - started, 2),
        "product_memory_mb": round(told["peak_memory"] / 2**20),
        "product_asks": told["asks"],
    }


def environment(device: str) -> dict[str, str]:
    """Return a worker's environment; it takes the GPU that it sees, unless `device` is `cpu`."""
    return os.environ | ({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {})


def main(arguments: Sequence[str]) -> int:
    """Open the bundle, warm its engines, say when that was done; return 0."""
    from inference_worker.engine_options import parse
    from inference_worker.pipeline import current

    folder, cache, engine = arguments
    pipeline = current(Path(folder), parse(engine, cache=Path(cache)))
    pipeline.warm()
    # The clock of the whole machine: the process that started this one reads the same.
    told = {"ready_at": time.monotonic(), "peak_memory": memory.peak(), "asks": pipeline.asks}
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
