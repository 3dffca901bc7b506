"""The web server, in both modes: `gunicorn -c deploy/gunicorn.conf.py dermai.wsgi:application`.

`BIND` (several, separated by commas) or `PORT` say where; without BIND it is this machine alone.
"""

import os
import socket
from contextlib import closing
from pathlib import Path


def _loopback(port: str) -> list[str]:
    """Return both loopback addresses, or the old one where IPv6 is switched off."""
    addresses = [f"127.0.0.1:{port}"]
    try:
        with closing(socket.socket(socket.AF_INET6)) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return addresses
    return [*addresses, f"[::1]:{port}"]


bind = [part for part in os.environ.get("BIND", "").split(",") if part] or _loopback(
    os.environ.get("PORT", "8000")
)
# Threads: a request waits for the database or for a body, seldom for the processor.
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "4"))
timeout = 60
graceful_timeout = 20
# Memory that a decoder left fragmented is given back now and then.
max_requests = 2000
max_requests_jitter = 200
# In memory where there is such a folder: a slow disk must not look like a hung worker.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - tmpfs, no name
# Addresses hold the ids of analyses: they stay out of the logs.
accesslog = None
errorlog = "-"
control_socket_disable = True
