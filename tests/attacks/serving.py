"""A real web server for a test, with a patient's token for it."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from accounts.models import User
from accounts.tokens import issue
from tests.factories import make_user
from tests.faults.processes import environment, wait_until

ROOT = Path(__file__).resolve().parents[2]
BOUNDARY = "x7-boundary"


@dataclass(frozen=True, slots=True)
class Server:
    """A web server of its own, and a patient's token for it."""

    port: int
    token: str
    owner: User
    process: subprocess.Popen[bytes]
    store: Path

    def headers(self, **more: str) -> dict[str, str]:
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        return {"Authorization": f"Bearer {self.token}", "Content-Type": kind} | more

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=60)

    def raw(self, *, length: str | None = None, chunked: bool = False) -> socket.socket:
        """Begin a request whose body the test sends by hand."""
        lines = ["POST /api/v1/analyses/ HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in self.headers().items()]
        lines += [f"Content-Length: {length}"] if length is not None else []
        lines += ["Transfer-Encoding: chunked"] if chunked else []
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection

    def memory(self) -> int:
        """Return the most bytes that the server and its children ever held."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        peaks = []
        for pid in [self.process.pid, *map(int, children.split())]:
            status = Path(f"/proc/{pid}/status").read_text()
            [peak] = [line for line in status.splitlines() if line.startswith("VmHWM")]
            peaks.append(1024 * int(peak.split()[1]))
        return max(peaks)


@contextmanager
def serving(store: Path, **changes: str) -> Iterator[Server]:
    """Start a server with `changes` to its environment; end it afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    owner = make_user()
    _, token = issue(owner)
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py"]
    process = subprocess.Popen(
        [*command, "dermai.wsgi:application"],
        cwd=ROOT,
        env=environment(
            PORT=str(port), WEB_CONCURRENCY="1", WEB_THREADS="3", LOG_LEVEL="ERROR", **changes
        ),
    )
    found = Server(port, token, owner, process, store)
    try:
        wait_until(lambda: _answers(found), within=90, why="the web server does not answer")
        yield found
    finally:
        process.terminate()
        process.wait(30)


def _answers(server: Server) -> bool:
    try:
        return get(server, "/healthz") == 200
    except OSError:
        return False


def get(server: Server, path: str) -> int:
    connection = server.connect()
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status
