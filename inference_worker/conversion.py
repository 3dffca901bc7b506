"""Converting a bundle in a process of its own, so that a worker keeps nothing of it.

It takes the libraries of trunks, every network in PyTorch, and a tracer. That process is `python -m
inference_worker.conversion BUNDLE CACHE`.
"""

from __future__ import annotations

import fcntl
import logging
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inference_worker.errors import ConversionError, ConversionTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LOCK: Final = "converting.lock"
ROOT: Final = Path(__file__).resolve().parents[1]
TIME_LIMIT: Final = 1800.0
"""Seconds that converting may take, with waiting for others that convert; five large networks take
one minute on two cores."""

logger = logging.getLogger(__name__)


def convert_apart(folder: Path, cache: Path) -> bool:
    """Convert the bundle in `folder` into `cache`; tell whether that went well.

    What the other process says goes into this one's log. Why it failed, if it did, converting here
    tells by an exception. Raises `ConversionTimeoutError`: what hangs there would hang here.
    """
    command = [sys.executable, "-m", __name__, str(folder.resolve()), str(cache.resolve())]
    with subprocess.Popen(  # noqa: S603 - this module, by its name, on two folders
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        limit = threading.Timer(TIME_LIMIT, end)
        limit.start()
        try:
            for line in process.stdout or ():
                logger.info("%s", line.rstrip())
        finally:
            limit.cancel()
    if late.is_set() and process.returncode:
        raise ConversionTimeoutError(cache, seconds=TIME_LIMIT)
    return process.returncode == 0


def main(arguments: Sequence[str]) -> int:
    """Convert, as `arguments` name bundle and cache; return 0, or 1 where that cannot be done."""
    from inference_worker import openvino_cache
    from inference_worker.bundle import BundleError, load

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder, cache = map(Path, arguments)
    try:
        with _alone(cache):
            openvino_cache.networks(load(folder), cache)
    except (BundleError, ConversionError):
        logger.exception("not converted")
        return 1
    except OSError as error:
        logger.warning("nothing can be kept in %s (%s)", cache, error.strerror)
        return 1
    return 0


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Let one process at a time convert into `cache`; those after it find what it made.

    Else workers that start together would each hold every network. Raises `OSError` where the
    folder cannot be written, before anything is read.
    """
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (cache / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
