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
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parents[2]
READY = "DermAI is ready"
ENDS_WITHIN = 60  # s


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
    with own_databases(f"product_{port}") as own, (home / "out.log").open("w+") as log:
        launcher = subprocess.Popen(
            [sys.executable, "-m", "dermai.embedded"],
            cwd=ROOT,
            env=os.environ | own | {"DERMAI_HOME": str(home), "PORT": str(port)},
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
    shutil.rmtree(home, ignore_errors=True)


@contextmanager
def own_databases(name: str) -> Iterator[dict[str, str]]:
    """Yield where the product finds databases that no other test uses, if not in its home."""
    found = {}
    if redis_url := os.environ.get("REDIS_URL"):
        parts = urlsplit(redis_url)
        after_the_tests = int(parts.path.strip("/") or 0) + 2  # theirs: broker and cache
        found["REDIS_URL"] = parts._replace(path=f"/{after_the_tests}").geturl()
    if not (database_url := os.environ.get("DATABASE_URL")):
        yield found
        return
    own = sql.Identifier(name)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(own))
        try:
            yield found | {
                "DATABASE_URL": urlsplit(database_url)._replace(path=f"/{name}").geturl()
            }
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(own))


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
