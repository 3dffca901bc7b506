"""The supervisor, with real processes: nothing outlives it, and what dies comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dermai.supervisor import MAX_DEATHS, Child, ChildFailedError, StoppedError, Supervisor

SLEEPER = "import time; time.sleep(600)"
# Starts a grandchild in its own process group and writes its id.
FAMILY = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {sleeper!r}])
pathlib.Path({path!r}).write_text(str(child.pid))
time.sleep(600)
"""
# A process of its own that supervises a family until it is ended.
SUPERVISED = """
import os, pathlib
from dermai.supervisor import Child, Supervisor
folder = pathlib.Path({folder!r})
supervisor = Supervisor(folder=folder, logs=folder, environment=os.environ, say=print)
supervisor.listen_to_signals()
supervisor.start(Child("family", {command!r}, grace=5))
supervisor.run()
supervisor.end()
"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    return Supervisor(folder=tmp_path, logs=tmp_path, environment=os.environ, say=lambda _: None)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def alive(pid: int) -> bool:
    """Whether `pid` runs; one that has ended and is not yet waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_until(what: Callable[[], object], limit: float = 30) -> None:
    deadline = time.monotonic() + limit
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def read_pid(path: Path) -> int:
    wait_until(lambda: path.is_file() and path.read_text())
    return int(path.read_text())


def test_ending_leaves_no_grandchild_behind(supervisor: Supervisor, tmp_path: Path) -> None:
    path = tmp_path / "grandchild"
    supervisor.start(Child("family", python(FAMILY.format(sleeper=SLEEPER, path=str(path)))))
    grandchild = read_pid(path)
    supervisor.end()
    wait_until(lambda: not alive(grandchild))


def test_what_the_others_need_ends_after_them(supervisor: Supervisor, tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    code = (
        "import pathlib, signal, sys, time\n"
        "def note(*_):\n"
        "    time.sleep(float(sys.argv[2]))\n"
        f"    pathlib.Path({str(diary)!r}).open('a').write(sys.argv[1]); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, note); print('up', flush=True); time.sleep(600)"
    )
    for name, takes, needed in (("redis", "0", True), ("web", "3", False), ("beat", "0", False)):
        supervisor.start(Child(name, [*python(code), f"{name} ", takes], needed=needed))
        log = supervisor.log_of(name)
        wait_until(lambda log=log: "up" in log.read_text())
    supervisor.end()
    assert diary.read_text() == "beat web redis "


def test_a_child_that_ignores_the_request_is_killed_after_its_grace(
    supervisor: Supervisor,
) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True)"
    supervisor.start(Child("deaf", python(f"{code}; time.sleep(600)"), grace=0.2))
    wait_until(lambda: "up" in supervisor.log_of("deaf").read_text())
    process = supervisor.children[0].process
    assert process is not None
    supervisor.end()
    assert process.returncode == -signal.SIGKILL


def test_a_child_that_was_killed_is_started_again(supervisor: Supervisor) -> None:
    supervisor.start(Child("worker", python(SLEEPER)))
    first = supervisor.children[0].process
    assert first is not None
    try:
        first.kill()
        first.wait()

        def came_back() -> bool:
            supervisor.tend()
            process = supervisor.children[0].process
            return process is not first and process is not None and process.poll() is None

        wait_until(came_back)
    finally:
        supervisor.end()


def test_a_child_that_keeps_dying_ends_everything_with_its_last_words(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dermai.supervisor.BACKOFF_FIRST", 0.0)
    supervisor.start(Child("broken", python("raise SystemExit('no bundle here')")))

    def tend() -> bool:
        supervisor.tend()
        return False

    with pytest.raises(ChildFailedError, match=rf"died {MAX_DEATHS} times(.|\n)*no bundle here"):
        wait_until(tend)
    supervisor.end()


def test_a_failed_step_says_why(supervisor: Supervisor) -> None:
    with pytest.raises(ChildFailedError, match=r"migrate failed(.|\n)*disk full"):
        supervisor.run_step("migrate", python("raise SystemExit('disk full')"))


def test_a_step_ends_when_the_person_asks_to_end(supervisor: Supervisor) -> None:
    supervisor.stopping.set()
    with pytest.raises(StoppedError):
        supervisor.run_step("migrate", python(SLEEPER))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_process_is_left_when_the_launcher_is_ended(
    number: signal.Signals, tmp_path: Path
) -> None:
    path = tmp_path / "grandchild"
    family = FAMILY.format(sleeper=SLEEPER, path=str(path))
    # The family's head ends its own child on SIGTERM, as gunicorn and Celery do.
    family = "import os, signal\nsignal.signal(15, lambda *_: os.killpg(0, 9))\n" + family
    code = SUPERVISED.format(folder=str(tmp_path), command=python(family))
    launcher = subprocess.Popen(python(code), stdout=subprocess.DEVNULL)
    grandchild = read_pid(path)
    launcher.send_signal(number)
    launcher.wait(timeout=30)
    wait_until(lambda: not alive(grandchild))
