"""Runs a set of processes as one: starts them, restarts what dies, ends them all.

Each child leads a process group of its own. A Ctrl-C in the terminal so reaches the supervisor
alone, which ends the children in order, and nothing that a child has started outlives it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

BACKOFF_FIRST: Final = 1.0  # s
BACKOFF_LONGEST: Final = 30.0  # s
STABLE_AFTER: Final = 60.0  # s of running after which earlier deaths are forgotten
MAX_DEATHS: Final = 5  # in a row, each within STABLE_AFTER
TICK: Final = 0.2  # s
LOG_TAIL: Final = 15  # lines
LOG_KEEP: Final = 10 * 1024 * 1024  # bytes before a log is put aside at a start
PR_SET_PDEATHSIG: Final = 1


class ChildFailedError(Exception):
    """A child cannot be kept running, or a step of the start failed."""


class StoppedError(Exception):
    """The person asked to end while something was waited for."""


@dataclass(slots=True)
class Child:
    """One process to keep running. `grace` s pass between the request to end and the kill.

    What the others need while they end says so by `needed`: it ends after them.
    """

    name: str
    command: Sequence[str]
    grace: float = 10.0
    needed: bool = False
    before: Callable[[], None] | None = None
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    deaths: int = 0
    restart_at: float | None = None


@dataclass(slots=True)
class Supervisor:
    """Starts children in order and ends them together.

    `folder` is the working directory, `logs` holds a file per child, `say` prints a line.
    """

    folder: Path
    logs: Path
    environment: Mapping[str, str]
    say: Callable[[str], None]
    children: list[Child] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    impatient: bool = False

    def listen_to_signals(self) -> None:
        """End on Ctrl-C, SIGTERM and hang-up; a second signal ends at once."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.impatient = self.stopping.is_set()
        self.stopping.set()

    def run_step(self, name: str, command: Sequence[str]) -> None:
        """Run `command` to its end; raise `ChildFailedError` with its last lines if it fails."""
        step = Child(name, command)
        process = self._start(step)
        try:
            while process.poll() is None:
                self.pause(TICK)
        except StoppedError:
            self._end([step])
            raise
        if process.returncode != 0:
            raise ChildFailedError(f"{name} failed. {self._last_words(step)}")

    def start(self, child: Child) -> None:
        """Start `child` and keep it running from now on."""
        self.children.append(child)
        self._start(child)

    def wait_until(
        self, ready: Callable[[], bool], missing: Callable[[], str], limit: float
    ) -> None:
        """Keep the children running until `ready()`, for `limit` s at most.

        Raises `ChildFailedError` with what `missing()` names.
        """
        deadline = time.monotonic() + limit
        while not ready():
            self.tend()
            if time.monotonic() > deadline:
                raise ChildFailedError(
                    f"not ready after {limit:.0f} s: {missing()}. The logs are in {self.logs}."
                )
            self.pause(TICK)

    def run(self) -> None:
        """Keep the children running until somebody asks to end."""
        while not self.stopping.wait(TICK):
            self.tend()

    def tend(self) -> None:
        """Restart what has died, later each time; give up when it keeps dying."""
        now = time.monotonic()
        for child in self.children:
            if child.restart_at is not None:
                if now >= child.restart_at:
                    child.restart_at = None
                    self._start(child)
                continue
            if child.process is None or child.process.poll() is None:
                continue
            _kill_group(child.process.pid, signal.SIGKILL)
            child.deaths = 1 if now - child.started_at > STABLE_AFTER else child.deaths + 1
            if child.deaths >= MAX_DEATHS:
                raise ChildFailedError(
                    f"{child.name} died {child.deaths} times in a row. {self._last_words(child)}"
                )
            delay = min(BACKOFF_FIRST * 2 ** (child.deaths - 1), BACKOFF_LONGEST)
            child.restart_at = now + delay
            status = child.process.returncode
            self.say(f"{child.name} ended (status {status}); starting it again in {delay:.0f} s.")

    def pause(self, seconds: float) -> None:
        """Wait; raise `StoppedError` when somebody asks to end meanwhile."""
        if self.stopping.wait(seconds):
            raise StoppedError

    def end(self) -> None:
        """End every child: all at once, and after them those that they need while they end."""
        self.stopping.set()
        self._end([child for child in self.children if not child.needed])
        self._end([child for child in self.children if child.needed])

    def _end(self, children: Sequence[Child]) -> None:
        running = [(child, child.process) for child in children if child.process is not None]
        for _, process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        asked_at = time.monotonic()
        for child, process in running:
            while process.poll() is None:
                if self.impatient or time.monotonic() > asked_at + child.grace:
                    break
                time.sleep(0.05)
            _kill_group(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, child: Child) -> subprocess.Popen[bytes]:
        if child.before is not None:
            child.before()
        log = self.log_of(child.name)
        if log.is_file() and log.stat().st_size > LOG_KEEP:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            child.process = subprocess.Popen(
                list(child.command),
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Safe here: the supervisor has one thread, and the function only makes one call.
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
            )
        child.started_at = time.monotonic()
        return child.process

    def log_of(self, name: str) -> Path:
        """Return where the output of `name` goes."""
        return self.logs / f"{name.replace(' ', '-')}.log"

    def _last_words(self, child: Child) -> str:
        log = self.log_of(child.name)
        lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL:]
        return "\n".join([f"The end of {log}:", *lines])


def _kill_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to whatever is left of a child's process group."""
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        return


def _die_with_parent() -> None:
    """Ask the kernel to end this child when the supervisor itself is killed (Linux)."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
