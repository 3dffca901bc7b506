"""Decoding happens in a process with a cap; what breaks it breaks nothing else."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings as configured
from PIL import Image
from pytest_django.fixtures import Settings

from analyses import decoding, imaging
from analyses.exceptions import (
    DecoderUnavailableError,
    DecodeTimeoutError,
    TooManyPixelsError,
    TooSmallError,
    UndecodableError,
)
from tests import images

MEGABYTE = 1024 * 1024


@pytest.fixture(autouse=True)
def _fresh_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has a server of its own and ends it."""
    server = decoding._Server()
    monkeypatch.setattr(decoding, "_server", server)
    yield
    if server._control is not None and server._process is not None:
        server._control.close()
        server._process.wait(10)


def server_process() -> subprocess.Popen[bytes]:
    process = decoding._server._process
    assert process is not None
    return process


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
def test_the_process_decodes_what_the_library_decodes(kind: str) -> None:
    data = images.encode(images.lesion(), kind)
    here = imaging.decode(data, max_pixels=10**6, min_side=96)
    there = decoding.decode(data)
    assert (there.width, there.height, there.format) == (here.width, here.height, here.format)
    np.testing.assert_array_equal(there.pixels, here.pixels)


def test_a_refusal_comes_back_in_the_words_of_the_request() -> None:
    from django.utils import translation

    small = images.jpeg(120, 60)
    with translation.override("es"), pytest.raises(TooSmallError) as refusal:
        decoding.decode(small)
    assert "120" in refusal.value.message
    assert refusal.value.facts == {"width": 120, "height": 60, "limit_px": 96}
    with pytest.raises(TooManyPixelsError):
        decoding.decode(images.png_with_header_size(6000, 6000))


def test_a_picture_that_needs_more_memory_than_allowed_is_refused_and_the_next_one_decodes(
    settings: Settings,
) -> None:
    data = images.encode(Image.new("RGB", (3000, 3000)), "PNG")
    settings.DECODE_MEMORY_LIMIT = 16 * MEGABYTE
    with pytest.raises(UndecodableError):
        decoding.decode(data)
    settings.DECODE_MEMORY_LIMIT = configured.DECODE_MEMORY_LIMIT * 32
    assert decoding.decode(data).width == 3000


def test_a_picture_that_takes_longer_than_allowed_is_stopped_by_the_kernel(
    settings: Settings,
) -> None:
    decoding.decode(images.jpeg())
    settings.DECODE_TIME_LIMIT = 1
    # One picture of 64 progressive scans, each over all of its pixels. What is allowed takes a fast
    # core under a second, so here more is: three seconds' worth.
    data = slow_jpeg(side=10_000)
    settings.UPLOAD_MAX_PIXELS = 10_000**2
    settings.DECODE_MEMORY_LIMIT = configured.DECODE_MEMORY_LIMIT * 8
    with pytest.raises(DecodeTimeoutError, match="1 second"):
        decoding.decode(data)
    settings.DECODE_TIME_LIMIT = 8
    assert decoding.decode(images.jpeg()).width == 320


def slow_jpeg(*, side: int) -> bytes:
    """Repeat the last refinement scan of a progressive JPEG, as often as is allowed."""
    plain = images.encode(Image.new("L", (side, side), 90), progressive=True)
    starts = [at for at in range(len(plain)) if plain[at : at + 2] == b"\xff\xda"]
    last = plain[starts[-1] : -2]
    room = imaging.MAX_JPEG_SCANS - len(starts)
    return plain[:-2] + last * room + b"\xff\xd9"


def test_a_broken_process_refuses_by_name_and_is_replaced() -> None:
    assert decoding.decode(images.jpeg()).width == 320
    first = server_process()
    first.kill()
    first.wait()
    assert decoding.decode(images.jpeg()).width == 320
    assert server_process().pid != first.pid


def test_no_process_to_be_had_is_a_refusal_that_can_be_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(DecoderUnavailableError):
        decoding.decode(images.jpeg())


def test_the_server_knows_no_secret_and_ends_with_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_KEY", "do not tell")
    decoding.decode(images.jpeg())
    process = server_process()
    environment = Path(f"/proc/{process.pid}/environ").read_bytes()
    assert b"LANG=" in environment
    for word in (b"SECRET", b"KEY", b"DATABASE", b"REDIS", b"DJANGO", b"DERMAI"):
        assert word not in environment
    control = decoding._server._control
    assert control is not None
    control.close()
    assert process.wait(10) == 0


def test_a_fork_can_open_neither_file_nor_socket_and_dumps_no_core() -> None:
    code = (
        "import os, resource, socket, sys\n"
        "from analyses import decode_child\n"
        "decode_child._limit(seconds=5, memory=10**9)\n"
        "for act in (lambda: open('/etc/passwd'), socket.socket, lambda: os.open('x', 66)):\n"
        "    try: act()\n"
        "    except OSError as error: print(error.errno)\n"
        "print(resource.getrlimit(resource.RLIMIT_FSIZE), resource.getrlimit(resource.RLIMIT_CPU))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert said.splitlines() == ["24", "24", "24", "(0, 0) (5, 5)"]  # EMFILE


def test_several_pictures_at_once_do_not_mix() -> None:
    sides = [100, 130, 160, 190, 220, 250]
    pictures = [images.encode(Image.new("RGB", (s, s), (s, 0, 0)), "PNG") for s in sides]
    found: dict[int, tuple[int, int]] = {}

    def one(side: int, data: bytes) -> None:
        decoded = decoding.decode(data)
        found[side] = (decoded.width, int(decoded.pixels[0, 0, 0]))

    threads = [
        threading.Thread(target=one, args=pair) for pair in zip(sides, pictures, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {side: (side, side) for side in sides}


@pytest.mark.parametrize(
    "answer",
    [
        b'{"height": 100000, "width": 100000, "format": "JPEG"}',
        b'{"height": -1, "width": -1, "format": "JPEG"}',
        b'{"refused": "SystemExit", "facts": {}}',
        b'{"refused": "TooSmallError", "facts": {"width": "%n", "height": 1, "limit_px": 1}}',
        b'{"refused": "TruncatedError", "facts": {"evil": 1}}',
        b"not json",
        b"[]",
        b"x" * 5000,
    ],
)
def test_a_taken_over_process_can_only_make_its_own_picture_refused(answer: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(len(answer).to_bytes(4, "big") + answer)
        theirs.shutdown(socket.SHUT_WR)
        speaker = decoding._Peer(ours, deadline=time.monotonic() + 5)
        with pytest.raises(
            (OSError, ValueError, TypeError, LookupError, decoding.BrokenAnswerError)
        ):
            speaker.exchange(b"")
