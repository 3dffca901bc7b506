"""The whole running product, for tests that drive a browser against it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READY = "DermAI is ready"
ENDS_WITHIN = 60  # s
# Redis databases of their own, so that these workers take no task of other tests.
OWN_REDIS_DATABASE = "7"


@dataclass(frozen=True, slots=True)
class Product:
    """Where it runs."""

    base: str
    home: Path


@contextmanager
def running() -> Iterator[Product]:
    """Start web server, workers, beat and Redis as `make run` does; end them all after it."""
    home = Path(tempfile.mkdtemp(prefix="dermai-e-", dir="/tmp"))
    port = free_port()
    environment = os.environ | {"DERMAI_HOME": str(home), "PORT": str(port)}
    if redis_url := environment.get("REDIS_URL"):
        address, _slash, _database = redis_url.partition("://")[2].partition("/")
        scheme = redis_url.partition("://")[0]
        environment["REDIS_URL"] = f"{scheme}://{address}/{OWN_REDIS_DATABASE}"
    log = (home / "out.log").open("w+")
    launcher = subprocess.Popen(
        [sys.executable, "-m", "dermai.embedded"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until_ready(launcher, log.name)
        yield Product(base=f"http://127.0.0.1:{port}", home=home)
    finally:
        end(launcher)
        log.close()
        shutil.rmtree(home, ignore_errors=True)


def wait_until_ready(launcher: subprocess.Popen[str], log: str) -> None:
    """Read what the launcher says until it says that all is ready."""
    assert launcher.stdout is not None
    said = []
    for line in launcher.stdout:
        said.append(line)
        if READY in line:
            return
    raise AssertionError("The product did not start:\n" + "".join(said) + Path(log).read_text())


def end(launcher: subprocess.Popen[str]) -> None:
    """End it as Ctrl-C does, and by force what does not end."""
    launcher.send_signal(signal.SIGINT)
    try:
        launcher.communicate(timeout=ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        os.killpg(launcher.pid, signal.SIGKILL)
        launcher.communicate()


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
