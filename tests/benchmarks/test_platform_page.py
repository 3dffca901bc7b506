"""When a page counts as one that shows its result: it was open before that was written."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from benchmarks import platform_page
from benchmarks.platform_figures import Sent
from benchmarks.platform_page import NotShownError, Turn


def sent(name: str, http_status: int = 202) -> Sent:
    return Sent(0, 1.0, 1.1, http_status, name if http_status == 202 else None)


def turn(name: str, opened_at: float, shown_at: float) -> Turn:
    return Turn((sent(f"before {name}"), sent(name)), opened_at, shown_at)


def at(second: float) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def test_the_wait_is_from_the_result_to_the_page() -> None:
    found = platform_page.judge([turn("a", 10, 12.5)], {"a": at(12)})
    assert found.waits == (pytest.approx(0.5),)
    assert found.discarded == 0


def test_a_page_that_was_opened_after_its_result_is_discarded_and_counted() -> None:
    turns = [turn("a", 10, 12.5), turn("b", 20, 20.1)]
    found = platform_page.judge(turns, {"a": at(12), "b": at(19.9)})
    assert (len(found.waits), found.discarded) == (1, 1)


def test_nothing_that_was_sent_is_left_out_of_what_may_be_lost() -> None:
    turns = [turn("a", 10, 12.5), turn("b", 20, 20.1)]
    found = platform_page.judge(turns, {"a": at(12), "b": at(19.9)})
    names = [one.analysis_id for one in found.sent]
    assert names == ["before a", "a", "before b", "b"]


def test_pages_that_were_all_too_late_are_no_measurement() -> None:
    with pytest.raises(NotShownError, match="--ahead"):
        platform_page.judge([turn("a", 10, 10.1)], {"a": at(9)})


@pytest.mark.parametrize(("status", "said"), [(429, "HTTP 429"), (503, "HTTP 503"), (0, "no answ")])
def test_an_upload_that_was_refused_is_said_at_once(status: int, said: str) -> None:
    assert platform_page.accepted(sent("a")) == sent("a")
    with pytest.raises(NotShownError, match=said):
        platform_page.accepted(sent("a", status))
