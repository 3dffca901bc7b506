"""`python -m analyses.decode_child FD`: decodes strangers' bytes far from the product's secrets.

A server with one thread, no settings, no secrets in its environment, and Pillow loaded. For each
picture it forks: the fork has a cap on memory and time, opens nothing (no file, no socket), decodes
one picture and ends, so no picture meets what another left. `analyses.decoding` is the other side.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from PIL import Image, ImageCms, ImageColor, ImageFile, ImagePalette, MpoImagePlugin, TiffTags

from analyses import imaging
from analyses.exceptions import IntakeError, NotAnImageError

# Bytes of the upload, most pixels, least side (px), processor time and time (s), memory (bytes).
REQUEST: Final = struct.Struct(">QQIIIQ")
ANSWER_LENGTH: Final = struct.Struct(">I")
OUT_OF_MEMORY: Final = "MemoryError"
# Pillow loads these when first needed; a fork can open no file to load them from.
NEEDED_LATER: Final = (ImageColor, ImageFile, ImagePalette, MpoImagePlugin, TiffTags)
FIRST_TO_GO: Final = "1000"  # the highest oom_score_adj
REAP_EVERY: Final = 0.5  # s


def main(descriptor: int) -> None:
    """Serve until the other end closes."""
    settings.configure(USE_I18N=False)  # refusals travel as names and facts, not as words
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends this
    with contextlib.suppress(OSError):
        # When the machine runs out of memory, the kernel ends this before anything else.
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no photo in a core dump
    _warm_up()
    deadlines: dict[int, float] = {}
    with socket.socket(fileno=descriptor) as control:
        while True:
            ready, _, _ = select.select([control], [], [], REAP_EVERY if deadlines else None)
            if ready and not _take_one(control, deadlines):
                return
            _reap(deadlines)


def _warm_up() -> None:
    """Decode one of each kind, and say one refusal: what that loads, the forks will not open."""
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8)).save(buffer, kind, icc_profile=_PROFILE)
        imaging.decode(buffer.getvalue(), max_pixels=64, min_side=8)
    NotAnImageError()


def _take_one(control: socket.socket, deadlines: dict[int, float]) -> bool:
    """Fork for the next picture. False at the end."""
    message, descriptors, _, _ = socket.recv_fds(control, REQUEST.size, 1)
    if not message:
        return False
    length, max_pixels, min_side, seconds, patience, memory = REQUEST.unpack(message)
    child = os.fork()
    if child == 0:
        status = os.EX_SOFTWARE
        try:
            control.close()
            _limit(seconds=seconds, memory=memory)
            _serve(descriptors[0], length=length, max_pixels=max_pixels, min_side=min_side)
            status = os.EX_OK
        finally:
            os._exit(status)
    os.close(descriptors[0])
    deadlines[child] = time.monotonic() + patience
    return True


def _reap(deadlines: dict[int, float]) -> None:
    """Forget the ended, kill the overdue."""
    for child, deadline in list(deadlines.items()):
        if os.waitpid(child, os.WNOHANG)[0]:
            del deadlines[child]
        elif time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)


def _limit(*, seconds: int, memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":  # elsewhere the kernel counts what libraries merely reserve
        room = resource.getpagesize() * _STARTED_WITH_PAGES + memory
        resource.setrlimit(resource.RLIMIT_AS, (room, room))


def _serve(descriptor: int, *, length: int, max_pixels: int, min_side: int) -> None:
    # Blocking: a socket with a time limit polls, which needs room for descriptors.
    with socket.socket(fileno=descriptor) as peer:
        peer.setblocking(True)
        try:
            data = _read(peer, length)
            decoded = imaging.decode(data, max_pixels=max_pixels, min_side=min_side)
        except IntakeError as error:
            _answer(peer, {"refused": type(error).__name__, "facts": error.facts})
        except MemoryError:
            _answer(peer, {"refused": OUT_OF_MEMORY, "facts": {}})
        else:
            size = {"height": decoded.height, "width": decoded.width}
            _answer(peer, size | {"format": decoded.format.value})
            peer.sendall(decoded.pixels.data)


def _read(peer: socket.socket, length: int) -> bytes:
    buffer = bytearray(length)
    view = memoryview(buffer)
    while view:
        received = peer.recv_into(view)
        if not received:
            raise EOFError
        view = view[received:]
    return bytes(buffer)


def _answer(peer: socket.socket, header: dict[str, Any]) -> None:
    text = json.dumps(header).encode()
    peer.sendall(ANSWER_LENGTH.pack(len(text)) + text)


def _pages() -> int:
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[0])
    return 0


_PROFILE: Final = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# Measured before any fork; the cap on a fork comes on top.
_STARTED_WITH_PAGES: Final = _pages()

if __name__ == "__main__":
    main(int(sys.argv[1]))
