"""Decode an upload in a process of its own, with a cap on its memory and time.

What breaks a decoder breaks that process and nothing else: the person is told by name, the web
process goes on. Numbers and pixels cross the border, never objects; what comes back is checked
like any input. See `analyses.decode_child` for the other side.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from django.conf import settings

from analyses import exceptions as refused
from analyses.decode_child import ANSWER_LENGTH, OUT_OF_MEMORY, REQUEST
from analyses.formats import Format
from analyses.imaging import DecodedImage

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

PASSED_ON: Final[dict[str, type[refused.IntakeError]]] = {
    error.__name__: error
    for error in (
        refused.TooManyPixelsError,
        refused.TooSmallError,
        refused.NotAnImageError,
        refused.EmptyFileError,
        refused.UnsupportedTypeError,
        refused.AnimatedError,
        refused.TruncatedError,
    )
}
MAX_ANSWER: Final = 4096  # bytes, without the pixels
CHANNELS: Final = 3
AT_ONCE: Final = 3  # photos of one person in each web process: one is decoded, the others wait
BUSY: Final = 3  # on a busy machine, time passes so many times as fast as the process may use it
# What the server needs of the environment: where to look for libraries, and one thread.
PASSED_VARIABLES: Final = ("LD_LIBRARY_PATH", "PATH", "PYTHONDONTWRITEBYTECODE")
ENVIRONMENT: Final = {"LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
logger = logging.getLogger(__name__)


class BrokenAnswerError(Exception):
    """The process ended in mid-answer, or said something that it cannot have meant."""


def decode(data: bytes) -> DecodedImage:
    """Decode `data` as `analyses.imaging.decode` does, elsewhere and within the limits.

    Raises what that raises, `UndecodableError` when the process broke or met its memory limit,
    `DecodeTimeoutError`, and `DecoderUnavailableError` when there is no process to be had.
    """
    if not _slots.acquire(timeout=settings.DECODE_TIME_LIMIT):
        raise refused.DecoderUnavailableError
    try:
        return _decode(data, limit=settings.DECODE_TIME_LIMIT)
    finally:
        _slots.release()


@contextmanager
def one_at_a_time(person: Hashable) -> Iterator[None]:
    """Let `person` decode, in this process, only after what they sent before.

    So nobody takes all the places that there are, nor, with what waits, all the server's threads:
    raises `TooManyAtOnceError` for more than `AT_ONCE`, and `DecoderUnavailableError` when the wait
    takes longer than one picture may.
    """
    with _place(person):
        with _someone_is_done:
            if not _someone_is_done.wait_for(
                lambda: person not in _at_it, timeout=settings.DECODE_TIME_LIMIT
            ):
                raise refused.DecoderUnavailableError
            _at_it.add(person)
        try:
            yield
        finally:
            with _someone_is_done:
                _at_it.remove(person)
                _someone_is_done.notify_all()


@contextmanager
def _place(person: Hashable) -> Iterator[None]:
    with _someone_is_done:
        if _sent[person] >= AT_ONCE:
            raise refused.TooManyAtOnceError(limit=AT_ONCE, retry_after=settings.DECODE_TIME_LIMIT)
        _sent[person] += 1
    try:
        yield
    finally:
        with _someone_is_done:
            _sent[person] -= 1
            if not _sent[person]:
                del _sent[person]


def _decode(data: bytes, *, limit: int) -> DecodedImage:
    started = time.monotonic()
    ours, theirs = socket.socketpair()
    with ours:
        try:
            with theirs:
                _server.ask(theirs, length=len(data), seconds=limit, patience=BUSY * limit)
        except OSError as error:
            logger.exception("the decoding process cannot be started")
            raise refused.DecoderUnavailableError from error
        try:
            return _Peer(ours, deadline=started + BUSY * limit).exchange(data)
        except TimeoutError as error:
            raise refused.DecodeTimeoutError(limit_seconds=limit) from error
        except (OSError, ValueError, TypeError, LookupError, BrokenAnswerError) as error:
            logger.warning("a picture could not be decoded: %s", type(error).__name__)
            # The kernel ended it for its time if it had that much; before that, it broke.
            if time.monotonic() - started >= limit:
                raise refused.DecodeTimeoutError(limit_seconds=limit) from error
            raise refused.UndecodableError from error


class _Peer:
    """One picture's conversation with the process that decodes it."""

    def __init__(self, connection: socket.socket, *, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def exchange(self, data: bytes) -> DecodedImage:
        self._connection.settimeout(self._left())
        if data:  # the other end may have answered nothing and gone already
            self._connection.sendall(data)
        (length,) = ANSWER_LENGTH.unpack(self._receive(ANSWER_LENGTH.size))
        if length > MAX_ANSWER:
            raise BrokenAnswerError("the answer is too long")
        answer = json.loads(bytes(self._receive(length)))
        if "refused" in answer:
            raise _refusal(answer)
        height, width = int(answer["height"]), int(answer["width"])
        if min(height, width) < 1 or height * width > settings.UPLOAD_MAX_PIXELS:
            raise BrokenAnswerError("the sizes are out of bounds")
        body = self._receive(height * width * CHANNELS)
        pixels = np.frombuffer(body, dtype=np.uint8).reshape(height, width, CHANNELS)
        return DecodedImage(pixels, width=width, height=height, format=Format(answer["format"]))

    def _receive(self, length: int) -> bytearray:
        buffer = bytearray(length)
        view = memoryview(buffer)
        while view:
            self._connection.settimeout(self._left())
            received = self._connection.recv_into(view)
            if not received:
                raise BrokenAnswerError("the process ended")
            view = view[received:]
        return buffer

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _refusal(answer: Mapping[str, Any]) -> refused.IntakeError:
    name = answer["refused"]
    if name == OUT_OF_MEMORY:
        raise BrokenAnswerError("the memory limit was met")
    # The constructor puts the facts into words; wrong ones raise here, not in a template.
    return PASSED_ON[name](**answer["facts"])


class _Server:
    """The process that forks for each picture: one for this process, started when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._owner = 0

    def ask(self, connection: socket.socket, *, length: int, seconds: int, patience: int) -> None:
        """Hand over one picture's connection. Raises `OSError`."""
        message = REQUEST.pack(
            length,
            settings.UPLOAD_MAX_PIXELS,
            settings.UPLOAD_MIN_SIDE,
            seconds,
            patience,
            settings.DECODE_MEMORY_LIMIT,
        )
        with self._lock:
            control = self._running()
            try:
                socket.send_fds(control, [message], [connection.fileno()])
            except (BrokenPipeError, ConnectionResetError):
                # It was killed since: once more with a new one.
                socket.send_fds(self._start(), [message], [connection.fileno()])

    def _running(self) -> socket.socket:
        alive = self._process is not None and self._process.poll() is None
        if self._control is None or not alive or self._owner != os.getpid():
            return self._start()
        return self._control

    def _start(self) -> socket.socket:
        if self._control is not None:
            self._control.close()
        ours, theirs = socket.socketpair()
        found = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-s", "-m", "analyses.decode_child", str(theirs.fileno())],
                cwd=settings.BASE_DIR,
                env=found | ENVIRONMENT,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._control, self._owner = ours, os.getpid()
        return ours


_server = _Server()
_slots = threading.BoundedSemaphore(settings.DECODE_PARALLEL)
_at_it: set[Hashable] = set()
_sent: Counter[Hashable] = Counter()  # what is decoded and what waits
_someone_is_done = threading.Condition()
