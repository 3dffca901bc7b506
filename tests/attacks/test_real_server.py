"""What only the real web server shows: bodies without a length, that crawl, that lie."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest

from analyses.models import Analysis
from tests import images
from tests.attacks.corpus import padded
from tests.attacks.serving import BOUNDARY, Server, get, serving
from tests.faults.processes import wait_until

MEGABYTE = 1024 * 1024
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
    "Content-Type: image/jpeg\r\n\r\n"
).encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


@pytest.fixture
def server(transactional_db: None, image_store: Path, inference_queue: None) -> Iterator[Server]:
    with serving(image_store) as found:
        yield found


def read(connection: socket.socket) -> tuple[int, dict[str, object]]:
    answer = HTTPResponse(connection)
    answer.begin()
    body = answer.read()
    found = json.loads(body) if body.startswith(b"{") else {}
    return answer.status, found


def post(server: Server, content: bytes) -> tuple[int, dict[str, object]]:
    connection = server.connect()
    connection.request("POST", "/api/v1/analyses/", HEAD + content + TAIL, server.headers())
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_bodies_that_lie_about_themselves_are_refused_and_cost_little(server: Server) -> None:
    # An honest one first: the same door takes it.
    status, said = post(server, images.jpeg())
    assert status == 202, said
    Analysis.objects.all().delete()

    # 21 MB and a bit, honestly declared: read, and refused by name.
    status, said = post(server, padded(21 * MEGABYTE))
    assert (status, said["code"]) == (413, "too_large")

    # 10 GB declared: refused before a byte of it is sent.
    started = time.monotonic()
    with server.raw(length=str(10**10)) as connection:
        status, said = read(connection)
    assert (status, said["code"]) == (413, "too_large")
    assert time.monotonic() - started < 10

    # No length at all, and no end: refused while it is still being sent.
    with server.raw(chunked=True) as connection:
        connection.sendall(b"100000\r\n" + b"x" * 2**20 + b"\r\n")
        status, said = read(connection)
    assert 400 <= status < 500
    assert said["code"]

    for length in ("-1", "1e9", "0x10", "12 34", "١٢"):
        with server.raw(length=length) as connection:
            status, _ = read(connection)
        assert status in {400, 411, 413}, length

    # Both lengths at once: the smuggler's way.
    with server.raw(length="5", chunked=True) as connection:
        connection.sendall(b"0\r\n\r\nGET /admin/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        status, _ = read(connection)
    assert 400 <= status < 500

    # Less sent than promised, then gone.
    with server.raw(length="100000") as connection:
        connection.sendall(HEAD + images.jpeg()[:500])
        connection.shutdown(socket.SHUT_WR)
        status, _ = read(connection)
    assert 400 <= status < 500

    assert not Analysis.objects.exists()
    assert not list(server.store.iterdir())
    assert get(server, "/healthz") == 200
    assert server.memory() < 400 * MEGABYTE


def test_a_slow_upload_keeps_nobody_else_waiting(server: Server) -> None:
    crawling = [server.raw(length="1000000") for _ in range(2)]
    for connection in crawling:
        connection.sendall(HEAD)
    started = time.monotonic()
    for _ in range(3):
        assert get(server, "/healthz") == 200
        for connection in crawling:
            connection.sendall(b"x")
    assert time.monotonic() - started < 20
    for connection in crawling:
        connection.close()
    wait_until(lambda: get(server, "/healthz") == 200)
    assert not Analysis.objects.exists()
    assert not list(server.store.iterdir())
