"""Loading in a thread, one load at a time, shared by whoever waits for its outcome.

One thread begins loads and waits for them, the process's main one: only the loading is elsewhere.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
TRY_AGAIN: Final = 300.0  # s, while nobody waits: a load costs the machine as much as many photos
logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Load(Generic[T]):
    """A load under way, or one whose outcome nobody has been told yet; `failed_at` is monotonic."""

    outcome: Future[T] = field(default_factory=Future)
    awaited: threading.Event = field(default_factory=threading.Event)
    failed_at: float | None = None

    @property
    def is_stale(self) -> bool:
        """Whether it failed so long ago that another might not."""
        return self.failed_at is not None and time.monotonic() - self.failed_at > TRY_AGAIN


class Loader(Generic[T]):
    """Loads by `load`. `when_idle` sees an error for which nobody waited, before the next try."""

    def __init__(self, load: Callable[[], T], when_idle: Callable[[BaseException], object]) -> None:
        self._load = load
        self._when_idle = when_idle
        self._under_way: Load[T] | None = None

    def begin(self, *, awaited: bool) -> Load[T]:
        """Return the load under way, begun now if there is none, or none that failed just now.

        As long as it is not `awaited` by anybody, a failure is nobody's: it is tried again after
        `TRY_AGAIN`, or as soon as somebody waits. One for which somebody waited who has left since
        is told to whoever comes within that time.
        """
        if self._under_way is not None and self._under_way.is_stale:
            self._under_way = None
        load = self._under_way or Load()
        if awaited:
            load.awaited.set()
        if self._under_way is None:
            # Started first: what is noted and never started would be waited for for ever.
            threading.Thread(target=self._run, args=(load,), name="load", daemon=True).start()
            self._under_way = load
        return load

    def tell(self) -> None:
        """Note that its outcome is known to one who waited: the next load begins anew."""
        self._under_way = None

    def _run(self, load: Load[T]) -> None:
        while True:
            failure = self._try(load)
            if failure is None:
                return
            # The error is kept for a while, and what had been read when it came is not.
            _clear_frames(failure)
            if load.awaited.is_set():
                load.failed_at = time.monotonic()
                load.outcome.set_exception(failure)
                return
            if not load.awaited.wait(TRY_AGAIN):
                self._when_idle(failure)

    def _try(self, load: Load[T]) -> BaseException | None:
        try:
            load.outcome.set_result(self._load())
        except BaseException as error:  # whatever it is, each analysis ends in its name
            logger.exception("the model bundle cannot be used")
            return error
        return None


def _clear_frames(error: BaseException | None) -> None:
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
