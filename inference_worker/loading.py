"""Loading in a thread, one load at a time, shared by whoever waits for its outcome.

One thread begins loads and waits for them, the process's main one: only the loading is elsewhere.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
TRY_AGAIN: Final = 300.0  # s, while nobody waits: a load costs the machine as much as many photos
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Load(Generic[T]):
    """A load under way, or one whose outcome nobody has been told yet."""

    outcome: Future[T] = field(default_factory=Future)
    awaited: threading.Event = field(default_factory=threading.Event)


class Loader(Generic[T]):
    """Loads by `load`. `on_failure` sees each error before anybody else, or the next try."""

    def __init__(
        self, load: Callable[[], T], on_failure: Callable[[BaseException], object]
    ) -> None:
        self._load = load
        self._on_failure = on_failure
        self._under_way: Load[T] | None = None

    def begin(self, *, awaited: bool) -> Load[T]:
        """Return the load under way, begun now if there is none.

        As long as it is not `awaited` by anybody, a failure is nobody's: it is tried again after
        `TRY_AGAIN`, or as soon as somebody waits.
        """
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
        while not load.outcome.done():
            try:
                load.outcome.set_result(self._load())
            except BaseException as error:
                awaited = load.awaited.is_set()
                if not awaited:
                    logger.exception("the model bundle cannot be used")
                    load.awaited.wait(TRY_AGAIN)
                self._on_failure(error)
                if awaited:  # for whoever waits, whatever it is
                    load.outcome.set_exception(error)
