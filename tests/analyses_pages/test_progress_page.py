"""The progress page, and the poll that ends by itself."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from analyses.models import Analysis, Status
from analyses.progress import progress_of
from inference_worker.verdict import Category, Stage
from tests.analyses_pages.conftest import Open
from tests.analyses_pages.markup import Document
from tests.factories import make_user
from tests.states import make_result, make_state

SECOND = 1 / 86400  # days


def poll_address(analysis: Analysis) -> str:
    return reverse("analyses:progress", args=[analysis.pk])


@pytest.mark.parametrize(("number", "stage"), list(enumerate(Stage, start=1)))
def test_each_stage_is_numbered_of_five(alice: User, see: Open, number: int, stage: Stage) -> None:
    analysis = make_state(alice, Status.RUNNING, stage=stage.value)

    page = see(reverse("analyses:detail", args=[analysis.pk]))

    assert f"Step {number} of 5" in page.text
    assert page.title == "Analysis · Being analysed · DermAI"


def test_the_queue_position_counts_one_photo_of_each_person_before(
    alice: User, bob: User, see: Open
) -> None:
    for age in (3, 2):
        make_state(bob, Status.QUEUED, age_days=age * SECOND)
    make_state(make_user("eve"), Status.QUEUED, age_days=1 * SECOND)
    mine = make_state(alice, Status.QUEUED)

    assert "2 photos are before it." in see(reverse("analyses:detail", args=[mine.pk])).text


def test_the_next_in_the_queue_is_told_so(alice: User, see: Open) -> None:
    mine = make_state(alice, Status.QUEUED)

    assert "It is the next one." in see(reverse("analyses:detail", args=[mine.pk])).text


def test_an_estimate_comes_only_after_ten_seconds(alice: User) -> None:
    make_state(alice, Status.COMPLETED, result=make_result(Category.BENIGN))
    fresh = make_state(alice, Status.QUEUED, age_days=2 * SECOND)
    waiting = make_state(alice, Status.QUEUED, age_days=15 * SECOND)

    assert progress_of(fresh).estimate == ""
    assert progress_of(waiting).estimate != ""


def test_the_state_is_announced_in_one_sentence(alice: User, see: Open) -> None:
    analysis = make_state(alice, Status.RUNNING, stage=Stage.ENSEMBLE.value)

    page = see(reverse("analyses:detail", args=[analysis.pk]))

    announced = [e for e in page.all("p") if e.attributes.get("id") == "progress-now"]
    assert [e.attributes["role"] for e in announced] == ["status"]
    assert announced[0].text == "Being analysed Step 4 of 5: Asking the five models"


def test_the_page_asks_often_enough_to_show_an_end_within_a_second(alice: User, see: Open) -> None:
    """What the interval leaves of a second is for the answer, and for the page with the result."""
    analysis = make_state(alice, Status.RUNNING)

    page = see(reverse("analyses:detail", args=[analysis.pk]))

    (asks,) = (e for e in page.all("div") if "hx-trigger" in e.attributes)
    every = re.fullmatch(r"every (\d+)ms", asks.attributes["hx-trigger"])
    assert every is not None
    assert int(every[1]) <= 750


def test_without_scripts_a_link_looks_again(alice: User, see: Open) -> None:
    analysis = make_state(alice, Status.QUEUED)
    address = reverse("analyses:detail", args=[analysis.pk])

    page = see(address)

    assert page.all("noscript")
    assert any(a.attributes["href"] == address and a.text == "Look again" for a in page.all("a"))
    assert not [m for m in page.all("meta") if m.attributes.get("http-equiv") == "refresh"]


def test_the_poll_is_silent_while_nothing_changes(browser: Client, alice: User) -> None:
    analysis = make_state(alice, Status.RUNNING, stage=Stage.QUALITY.value)
    seen = progress_of(analysis).token

    response = browser.get(poll_address(analysis), {"seen": seen})

    assert response.status_code == 204


def test_the_poll_answers_with_the_list_when_the_stage_changes(
    browser: Client, alice: User
) -> None:
    analysis = make_state(alice, Status.RUNNING, stage=Stage.QUALITY.value)
    seen = progress_of(analysis).token
    Analysis.objects.filter(pk=analysis.pk).update(stage=Stage.ENSEMBLE.value)

    response = browser.get(poll_address(analysis), {"seen": seen})

    page = Document(response.content.decode())
    assert response.status_code == 200
    assert "Step 4 of 5" in page.text
    assert [e.attributes["hx-swap-oob"] for e in page.all("p") if "hx-swap-oob" in e.attributes]


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.REJECTED, Status.FAILED])
def test_the_poll_ends_by_itself_at_the_end(browser: Client, alice: User, status: Status) -> None:
    fields = (
        {"result": make_result(Category.BENIGN)}
        if status == Status.COMPLETED
        else {"error_code": "blurred"}
    )
    analysis = make_state(alice, status, **fields)

    response = browser.get(poll_address(analysis))

    assert response.status_code == 286
    assert response["HX-Redirect"] == reverse("analyses:detail", args=[analysis.pk])
