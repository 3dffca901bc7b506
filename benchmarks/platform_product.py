"""The running product, as `make run` starts it, on a port and with data of its own."""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import memory
from dermai import embedded
from dermai.supervisor import Child, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

READY: Final = "the model bundle is ready"
FIRST_WORKER: Final = "inference worker"
LOG_TIME: Final = "%Y-%m-%d %H:%M:%S,%f"
# What would be measured otherwise is the limits; and other services than the embedded ones.
UNLIMITED: Final = {"MAX_PENDING_PER_USER": "0", "UPLOADS_PER_DAY": "0"}
OTHER_SERVICES: Final = ("DATABASE_URL", "REDIS_URL", "EMAIL_URL", "IMAGE_STORE", "PORT")


@dataclass(frozen=True, slots=True)
class Product:
    """Where it runs, and how its processes do."""

    port: int
    supervisor: Supervisor
    workers: tuple[Child, ...]

    def ready_after(self) -> float:
        """Return the s from the start of the slowest inference worker to its warm model."""
        return max(self._ready_after(worker) for worker in self.workers)

    def _ready_after(self, worker: Child) -> float:
        log = self.supervisor.log_of(worker.name).read_text(errors="replace")
        last = [line for line in log.splitlines() if READY in line][-1]
        # Its clock stands at the settings' time zone, as this process's does.
        ready_at = datetime.strptime(last[:23], LOG_TIME).timestamp()  # noqa: DTZ007 - local time
        return ready_at - (time.time() - (time.monotonic() - worker.started_at))

    def memory(self) -> dict[str, int]:
        """Return bytes: the largest inference worker, both its processes; the largest web process.

        Resident now, and the worker's most since its start: converting networks takes more. These
        count a page that processes share once for each; `pss` divides it among them, so that a
        worker's processes together take what it says.
        """
        web = next(child for child in self.supervisor.children if child.name == "web")
        return {
            "worker_memory": max(sum(held_by(w, "VmRSS").values()) for w in self.workers),
            "worker_peak_memory": max(sum(held_by(w, "VmHWM").values()) for w in self.workers),
            "worker_pss": max(sum(held_by(w, "Pss").values()) for w in self.workers),
            "web_memory": _largest(held_by(web, "VmRSS")),
            "web_pss": _largest(held_by(web, "Pss")),
        }

    def wait_until(self, ready: Callable[[], bool], missing: str, limit: float) -> None:
        """Keep everything running until `ready()`, for `limit` s; raise `ChildFailedError`."""
        self.supervisor.wait_until(ready, lambda: missing, limit)


def prepare(home: Path, bundle: Path | None) -> int:
    """Set this process's environment for a product with its data in `home`; return its port.

    Comes before the settings are read: they follow the environment.
    """
    for name in OTHER_SERVICES:
        os.environ.pop(name, None)
    os.environ.update(UNLIMITED | {"DERMAI_HOME": str(home), "DERMAI_MODE": "embedded"})
    if bundle is not None:
        os.environ["DERMAI_BUNDLE"] = str(bundle.resolve())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        os.environ["PORT"] = str(probe.getsockname()[1])
    return embedded.chosen_port()


@contextmanager
def running(port: int, workers: int, say: Callable[[str], None]) -> Iterator[Product]:
    """Start everything with `workers` inference workers, wait until all are warm; end it all.

    Raises `embedded.StartError`, `ChildFailedError`, and `StoppedError` on Ctrl-C.
    """
    home = embedded.prepare_home()
    with embedded.sole_owner(home):
        supervisor = Supervisor(
            folder=embedded.ROOT, logs=home / "logs", environment=os.environ, say=say
        )
        supervisor.listen_to_signals()
        try:
            for old in (home / "logs").glob("inference-worker*.log"):
                old.unlink()  # what they say of a former start is not asked
            embedded.start(supervisor, home, port)
            product = Product(port, supervisor, _with_more_workers(supervisor, workers))
            say("waiting for the model ...")
            product.wait_until(lambda: _all_warm(product), "a warm model", embedded.START_LIMIT)
            yield product
        finally:
            supervisor.end()


def _with_more_workers(supervisor: Supervisor, workers: int) -> tuple[Child, ...]:
    first = next(child for child in supervisor.children if child.name == FIRST_WORKER)
    more = [
        Child(
            f"{FIRST_WORKER} {number}",
            [part.replace("inference@", f"inference{number}@") for part in first.command],
            grace=first.grace,
        )
        for number in range(2, workers + 1)
    ]
    for child in more:
        supervisor.start(child)
    return (first, *more)


def _all_warm(product: Product) -> bool:
    logs = [product.supervisor.log_of(worker.name) for worker in product.workers]
    return all(READY in log.read_text(errors="replace") for log in logs)


def held_by(child: Child, kind: memory.Kind) -> dict[str, int]:
    """Return the memory in bytes of each process of `child`, by its command and number."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if child.process is None or os.getpgid(int(folder.name)) != child.process.pid:
                continue
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            found[f"{command} {folder.name}"] = memory.held(folder.name, kind)
        except (OSError, ValueError):
            continue  # it has ended meanwhile
    return found


def _largest(served: Mapping[str, int]) -> int:
    return max(size for name, size in served.items() if "gunicorn" in name)
