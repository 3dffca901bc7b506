"""When a page shows its result: a real browser that has it open, as the photo's owner would.

A photo alone would often be judged before the browser has loaded its page. So some are sent ahead,
and the page of the last is open and asks while they are worked on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.platform_figures import ACCEPTED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from benchmarks.platform_figures import Sent
    from benchmarks.platform_product import Product
    from benchmarks.platform_users import PhotoFile, User

ENDED: Final = "[data-analysis-status]"
SHOWS_WITHIN: Final = 120_000  # ms


class NotShownError(OSError):
    """The browser cannot be used, or its page has not shown what became of the photo."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Photos that were `sent`, and the page of the last; times in s since the epoch."""

    sent: tuple[Sent, ...]
    opened_at: float
    shown_at: float

    @property
    def watched(self) -> str:
        """Return which analysis the page is of."""
        return str(self.sent[-1].analysis_id)


@dataclass(frozen=True, slots=True)
class Watched:
    """All that was `sent`, and the s from each result that was written to the page that shows it.

    `discarded` counts the pages that were not open yet when their result was written.
    """

    sent: tuple[Sent, ...]
    waits: tuple[float, ...]
    discarded: int


def watch(
    product: Product,
    user: User,
    photos: Sequence[PhotoFile],
    image_type: str,
    chromium: Path,
    *,
    times: int,
    ahead: int,
) -> Watched:
    """Have a page open `times` times, each with `ahead` photos before its own.

    After each page that was open too late, twice as many go ahead of the next.
    Raises `NotShownError`.
    """
    from playwright.sync_api import Error, sync_playwright

    from analyses.models import Analysis

    base = f"http://127.0.0.1:{product.port}"
    turns = []
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            context = browser.new_context(base_url=base)
            context.add_cookies([{"name": _cookie(), "value": user.session, "url": base}])
            page = context.new_page()
            page.goto("/dashboard/")  # as an owner's browser, it has seen a page before
            for turn in range(times):
                batch = [photos[(turn + n) % len(photos)] for n in range(ahead + 1)]
                sent = tuple(accepted(user.send(photo, image_type)) for photo in batch)
                page.goto(f"/analyses/{sent[-1].analysis_id}/")
                opened_at = time.time()
                if page.locator(ENDED).count():
                    ahead = 2 * ahead + 1  # this page came too late
                page.locator(ENDED).wait_for(timeout=SHOWS_WITHIN)
                turns.append(Turn(sent, opened_at, time.time()))
            browser.close()
    except Error as error:
        raise NotShownError(f"the page in {chromium} shows no result: {error}") from error
    shown = [turn.watched for turn in turns]
    ends = Analysis.objects.filter(id__in=shown).values_list("id", "completed_at")
    return judge(turns, {str(key): at for key, at in ends if at is not None})


def accepted(sent: Sent) -> Sent:
    """Return what was `sent`; raise `NotShownError` where it was refused."""
    if sent.http_status == ACCEPTED and sent.analysis_id:
        return sent
    answer = f"HTTP {sent.http_status}" if sent.http_status else "no answer"
    raise NotShownError(f"a photo whose page was to be watched was not taken: {answer}")


def judge(turns: Sequence[Turn], ended: Mapping[str, datetime]) -> Watched:
    """Return what `turns` tell; `ended` says when the result of each analysis was written.

    Raises `NotShownError` where no page was open in time.
    """
    waits = [
        turn.shown_at - ended[turn.watched].timestamp()
        for turn in turns
        if turn.opened_at <= ended[turn.watched].timestamp()
    ]
    if turns and not waits:
        raise NotShownError(
            f"each of {len(turns)} pages was opened after its result: send more --ahead of it"
        )
    sent = tuple(one for turn in turns for one in turn.sent)
    return Watched(sent, tuple(waits), len(turns) - len(waits))


def session_of(person: object) -> str:
    """Return the cookie of a browser in which `person`, an account, is signed in."""
    from django.test import Client

    client = Client()
    client.force_login(person)  # type: ignore[arg-type]
    return client.cookies[_cookie()].value


def _cookie() -> str:
    from django.conf import settings

    return str(settings.SESSION_COOKIE_NAME)
