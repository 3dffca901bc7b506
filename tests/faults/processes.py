"""Start, watch and kill real workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN = 120  # s
T = TypeVar("T")


def wait_until(
    what: Callable[[], T], *, within: float = 90, why: str | Callable[[], str] = "waited in vain"
) -> T:
    """Return the first true answer of `what`; fail, and say `why`, when there is none in time."""
    deadline = time.monotonic() + within
    while True:
        answer = what()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(why() if callable(why) else why)
        time.sleep(0.05)


def environment(**changes: str) -> dict[str, str]:
    """Return the environment in which another process meets this test's database and Redis."""
    found = dict(os.environ)
    if connection.vendor == "postgresql":
        base, _, _ = os.environ["DATABASE_URL"].rpartition("/")
        found["DATABASE_URL"] = f"{base}/{connection.settings_dict['NAME']}"
    return found | changes


class Worker:
    """A real Celery worker of the inference queue."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        name: str = "w1",
        stand_in: bool = True,
        **changes: str,
    ) -> None:
        self.log = folder / f"{name}.log"
        include = ["-I", "tests.faults.stand_in"] if stand_in else []
        command = [sys.executable, "-m", "celery", "-A", "dermai", "worker", "-n", f"{name}@%h"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "-Q", "inference", "-l", "INFO", *include, *options],
                cwd=ROOT,
                env=environment(
                    WORKER_LEASE_TTL=str(settings.WORKER_LEASE_TTL),
                    DERMAI_TEST_GATE=str(folder / "gate"),
                    **changes,
                ),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_ready(self) -> Worker:
        wait_until(
            lambda: " ready." in self.text() or self.process.poll() is not None,
            within=READY_WITHIN,
            why=self.text,
        )
        assert self.process.poll() is None, self.text()
        return self

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def child(self) -> int:
        """Return the process that runs the model."""
        main = self.process.pid
        listed = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        children = [
            int(pid) for pid in listed if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        assert len(children) == 1, f"{len(children)} children"
        return children[0]

    def kill_child(self) -> None:
        os.kill(self.child(), signal.SIGKILL)

    def kill(self) -> None:
        """Kill the worker as a machine that loses power does; its child dies with it."""
        child = self.child()
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not _lives(child), why="the child outlived its worker")

    def stop(self) -> None:
        """End what still runs, all of the session that this worker leads."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
