"""`make run`'s launcher as a person uses it: first start, second start, Ctrl-C, clear refusals."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from dermai.private_redis import socket_path
from tests.faults.processes import wait_until

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN = 150  # s
OWN = ("DATABASE_URL", "REDIS_URL", "DERMAI_HOME", "PORT", "DERMAI_BUNDLE", "EMAIL_URL")


def environment(home: Path, port: int | str) -> dict[str, str]:
    """Return this process's environment, on an installation of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in OWN}
    return {**kept, "DERMAI_HOME": str(home), "PORT": str(port)}


def launch(home: Path, port: int, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dermai.embedded"],
        cwd=ROOT,
        env={**environment(home, port), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def refuse(home: Path, port: int | str, **more: str) -> str:
    """Return what a start says that must fail at once."""
    answer = subprocess.run(
        [sys.executable, "-m", "dermai.embedded"],
        cwd=ROOT,
        env={**environment(home, port), **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    return answer.stdout


def read_until_ready(launcher: subprocess.Popen[str]) -> str:
    assert launcher.stdout is not None
    said = ""
    deadline = time.monotonic() + READY_WITHIN
    for line in launcher.stdout:
        said += line
        if "Ctrl-C" in line:
            return said
        assert time.monotonic() < deadline, said
    raise AssertionError(f"it ended:\n{said}")


def processes_of(home: Path) -> list[str]:
    """Return the command lines of live processes that belong to the installation in `home`."""
    found = []
    # Redis writes its title over its environment.
    socket_of_redis = str(socket_path(home)).encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        ours = f"DERMAI_HOME={home}".encode() in variables or socket_of_redis in command
        if ours and command:
            found.append(command.replace(b"\0", b" ").decode())
    return found


@pytest.fixture
def port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    """Make a bundle that is there, and no more: no analysis is run here."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "bundle.json").write_text('{"schema_version": 1}')
    return str(folder)


@pytest.mark.timeout(400)
def test_two_starts_keep_the_data_and_one_ctrl_c_ends_everything(
    tmp_path: Path, port: int, bundle: str
) -> None:
    # A long path with a space: the socket must find a short one.
    home = tmp_path / ("a long home " + "x" * 80)
    first = launch(home, port, DERMAI_BUNDLE=bundle)
    try:
        said = read_until_ready(first)
        assert f"http://localhost:{port}" in said
        assert str(home / "demo-accounts.json") in said
        running = " ".join(processes_of(home))
        for part in ("redis-server", "gunicorn", "-Q inference", "-Q maintenance", "beat"):
            assert part in running, part
        assert "already" in refuse(home, port)
        accounts = read_accounts(home)
        assert sign_in(port, **accounts["patient"]) == 201
    finally:
        first.send_signal(signal.SIGINT)
        said = first.communicate(timeout=90)[0]
    assert first.returncode == 0
    assert "The data are kept." in said
    wait_until(lambda: not processes_of(home), within=60)  # the killed are reaped a moment later

    second = launch(home, port, DERMAI_BUNDLE=bundle)
    try:
        said = read_until_ready(second)
        assert "collecting" not in said, "the static files have not changed"
        assert read_accounts(home) == accounts
        assert sign_in(port, **accounts["patient"]) == 201
    finally:
        second.terminate()
        second.communicate(timeout=90)
    wait_until(lambda: not processes_of(home), within=60)  # the killed are reaped a moment later


def read_accounts(home: Path) -> dict[str, dict[str, str]]:
    path = home / "demo-accounts.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    accounts: dict[str, dict[str, str]] = json.loads(path.read_text())
    assert set(accounts) == {"patient", "dermatologist", "admin"}
    return accounts


def sign_in(port: int, *, email: str, password: str) -> int:
    """Ask the API for a token; return the status."""
    body = json.dumps({"email": email, "password": password})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        headers = {"Content-Type": "application/json", "Host": "localhost"}
        connection.request("POST", "/api/v1/tokens/", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_busy_port_is_named(tmp_path: Path) -> None:
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        busy = other.getsockname()[1]
        said = refuse(tmp_path, busy)
    assert f"port {busy} cannot be used" in said
    assert "PORT=" in said


@pytest.mark.parametrize("port_text", ["abc", "0", "70000", "-1"])
def test_a_port_that_is_none_is_named(tmp_path: Path, port_text: str) -> None:
    assert f"PORT is '{port_text}'" in refuse(tmp_path, port_text)


def test_a_home_that_cannot_be_used_is_named(tmp_path: Path, port: int) -> None:
    (tmp_path / "file").write_text("")
    assert "Set DERMAI_HOME" in refuse(tmp_path / "file" / "home", port)


def test_production_is_not_started_by_accident(tmp_path: Path, port: int) -> None:
    assert "DERMAI_MODE" in refuse(tmp_path, port, DERMAI_MODE="production")


def test_another_python_is_refused_at_once_with_the_remedy(tmp_path: Path) -> None:
    stand_in = tmp_path / "python3.9"
    stand_in.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.18"\n')
    stand_in.chmod(0o755)
    answer = subprocess.run(
        ["make", "run", f"PYTHON={stand_in}"],
        cwd=ROOT,
        env=environment(tmp_path, 8000),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert answer.returncode != 0
    assert "needs Python 3.11 or 3.12; here: Python 3.9.18" in answer.stderr
