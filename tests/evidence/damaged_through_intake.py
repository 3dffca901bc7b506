"""Sends damaged files through intake and prints what came of them, as JSON.

A process of its own, and without what draws the files: what it and the decoding processes below it
ever held can be measured then, and a crash that takes the process along is seen by whoever started
it. The files come by standard input, each after its length.

    python -m tests.evidence.damaged_through_intake OWNER_ID < FILES
"""

from __future__ import annotations

import io
import json
import resource
import struct
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, BinaryIO, Final

import django

from benchmarks import memory
from tests import images

if TYPE_CHECKING:
    from collections.abc import Iterator

LENGTH: Final = struct.Struct(">Q")


def packed(content: bytes) -> bytes:
    """Return `content` as this program reads it."""
    return LENGTH.pack(len(content)) + content


def _unpacked(stream: BinaryIO) -> Iterator[bytes]:
    while head := stream.read(LENGTH.size):
        yield stream.read(*LENGTH.unpack(head))


def main(owner_id: str) -> None:
    django.setup()
    from accounts.models import User
    from analyses.exceptions import IntakeError
    from analyses.intake import submit

    owner = User.objects.get(pk=owner_id)
    submit(owner=owner, upload=io.BytesIO(images.jpeg())).delete()  # the decoding process runs
    answers: Counter[str] = Counter()
    seconds: list[float] = []
    for content in _unpacked(sys.stdin.buffer):
        # Without name and type: a lie about the kind must not spare the decoder the work.
        upload = io.BytesIO(content)
        accepted = None
        started = time.perf_counter()
        try:
            accepted = submit(owner=owner, upload=upload)
        except IntakeError as refusal:
            answers[refusal.code] += 1
        seconds.append(time.perf_counter() - started)
        if accepted is not None:
            answers["accepted"] += 1
            accepted.delete()
    _report(answers, seconds)


def _report(answers: Counter[str], seconds: list[float]) -> None:
    from analyses import decoding, storage

    server = decoding._server._process
    assert server is not None
    server.terminate()
    server.wait()  # only of those that were waited for does the system tell what they held
    peak = {
        "web": memory.peak(),
        "decoder": 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
    }
    found = {
        "answers": answers,
        "worst": max(seconds),
        "peak": peak,
        "left": [str(image_id) for image_id, _written in storage.stored()],
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
