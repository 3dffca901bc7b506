"""The web process is light: a real one is started, serves pages, and says what it has loaded."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STARTS_WITHIN = 60  # s
HEAVY = {"torch", "torchvision", "timm", "cv2", "openvino", "segmentation_models_pytorch"}
# A hook of the server's configuration: after each request, the worker writes what it has loaded,
# whole or not at all, since it may be read meanwhile.
REPORT = """
import json, pathlib, sys
def post_request(worker, req, environ, resp):
    loaded = sorted({name.partition(".")[0] for name in sys.modules})
    unfinished = pathlib.Path(%(report)r + ".tmp")
    unfinished.write_text(json.dumps(loaded))
    unfinished.replace(%(report)r)
"""


@pytest.mark.django_db(transaction=True)
def test_the_web_process_never_loads_the_model_libraries(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    report = tmp_path / "modules.json"
    config = tmp_path / "gunicorn.conf.py"
    config.write_text(
        (ROOT / "deploy" / "gunicorn.conf.py").read_text() + REPORT % {"report": str(report)}
    )
    environment = {
        **os.environ,
        "PORT": str(port),
        "WEB_CONCURRENCY": "1",
        # The collected static files of a page's template are made here, as `make run` does it.
        "STATIC_ROOT": str(tmp_path / "static"),
    }
    collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
    subprocess.run(collect, cwd=ROOT, env=environment, check=True, timeout=120)
    command = [sys.executable, "-m", "gunicorn", "-c", str(config), "dermai.wsgi:application"]
    server = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        assert _get(port, "/healthz") == 200
        for page in ("/", "/accounts/login/", "/accounts/signup/", "/api/v1/schema/"):
            assert _get(port, page) == 200, page
        loaded = set(json.loads(report.read_text()))
    finally:
        server.terminate()
        server.wait(timeout=30)
    assert "django" in loaded
    assert "analyses" in loaded
    assert loaded & HEAVY == set()


def _get(port: int, path: str) -> int:
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", path, headers={"Host": "localhost"})
            return connection.getresponse().status
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        finally:
            connection.close()
