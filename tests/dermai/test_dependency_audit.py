"""`make audit` fails at a known vulnerability, and never passes silence off as a verdict."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# As OSV spells one: https://ossf.github.io/osv-schema/
ADVISORY = {
    "id": "MADE-UP-1",
    "summary": "made up for this test",
    "affected": [
        {
            "package": {"name": "django", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}],
        }
    ],
}


@contextmanager
def advisories(known: dict[str, object]) -> Iterator[str]:
    """Serve OSV's API with one answer for each package that is known."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(known.get(asked["package"]["name"], {})).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def audit(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    pins = folder / "pins.txt"
    pins.write_text("# pinned\ndjango==5.2.19 ; python_version > '3'\ncelery==5.7.0\n")
    return subprocess.run(
        [ROOT / "deploy" / "audit-dependencies", pins],
        env=os.environ | {"OSV_URL": url, "HOME": str(folder), "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_known_vulnerability_fails_and_is_named(tmp_path: Path) -> None:
    with advisories({"django": {"vulns": [ADVISORY]}}) as url:
        ran = audit(tmp_path, url)
    assert ran.returncode == 1, ran.stderr
    assert "MADE-UP-1" in ran.stdout
    assert "celery" not in ran.stdout


def test_without_one_it_passes_and_says_nothing_of_missing_verdicts(tmp_path: Path) -> None:
    with advisories({}) as url:
        ran = audit(tmp_path, url)
    assert ran.returncode == 0, ran.stderr
    assert "No known vulnerabilities found" in ran.stdout
    assert "NO VERDICT" not in ran.stderr


def test_where_nobody_can_be_asked_it_says_so(tmp_path: Path) -> None:
    with advisories({}) as url:
        pass
    ran = audit(tmp_path, url)  # nobody listens there any more
    assert ran.returncode == 0, ran.stderr
    assert "NO VERDICT on 2 of 2 dependencies" in ran.stderr
