"""The page of a photo that was left to a human says what is so, and nothing about the lesion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.care.services import share
from accounts.models import Role, User
from analyses import purging, reviews
from analyses.models import Advice, Analysis, DeletionEvent, HoldKind, Opinion, Status
from tests.cases import EVERYTHING
from tests.factories import make_analysis, make_upload, make_user

if TYPE_CHECKING:
    from django.test import Client

    from tests.analyses_pages.conftest import Open

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("image_store")]


def left_to_a_human(owner: User) -> Analysis:
    return make_analysis(owner, hold_kind=HoldKind.HUMAN_ONLY.value, hold_wording_version="1")


def words(see: Open, analysis: Analysis) -> str:
    return see(reverse("analyses:detail", args=[analysis.pk])).text


def test_the_choice_on_the_form_leads_there(browser: Client, alice: User) -> None:
    answer = browser.post(
        reverse("analyses:upload"),
        {"image": make_upload(), "image_type": "dermoscopic", "hold_kind": "human_only"},
    )

    analysis = Analysis.objects.get(owner=alice)
    assert answer.status_code == 302
    assert analysis.status == Status.HUMAN_ONLY
    assert analysis.hold_consented_at is not None


def test_while_it_waits_the_page_says_that_nothing_is_said(see: Open, alice: User) -> None:
    text = words(see, left_to_a_human(alice))

    assert "This photo waits for a dermatologist" in text
    assert "neither good nor bad" in text
    assert "you share your record with nobody yet" in text
    assert "of 100" not in text


def test_after_a_hold_without_an_answer_the_page_says_so(see: Open, alice: User) -> None:
    analysis = left_to_a_human(alice)
    Analysis.objects.filter(pk=analysis.pk).update(held_until=timezone.now())
    purging.purge(analysis, DeletionEvent.Reason.HOLD_ENDED)

    text = words(see, analysis)

    assert "No dermatologist answered in time" in text
    assert "nobody has judged it" in text


def test_sending_it_once_more_asks_for_a_human_only_again(browser: Client, alice: User) -> None:
    share(
        patient=alice,
        reference=make_user("bob", role=Role.DERMATOLOGIST).email,
        scope=EVERYTHING,
    )
    analysis = left_to_a_human(alice)
    Analysis.objects.filter(pk=analysis.pk).update(image_key=None, held_until=None)

    html = browser.get(reverse("analyses:detail", args=[analysis.pk])).content.decode()

    assert "hold=human_only" in html
    assert "can see this result" not in html


def test_the_answer_stands_alone(see: Open, alice: User) -> None:
    bob = make_user("bob", role=Role.DERMATOLOGIST)
    share(patient=alice, reference=bob.email, scope=EVERYTHING)
    analysis = left_to_a_human(alice)
    reviews.write(analysis_id=analysis.pk, author=bob, opinion=Opinion.BENIGN, advice=Advice.WATCH)

    text = words(see, analysis)

    assert "Keep watching it" in text
    assert "the answer above is all there is" in text
    assert "Where the computer says something else" not in text


def test_the_history_finds_it_under_its_own_chip(see: Open, alice: User) -> None:
    left_to_a_human(alice)

    assert "Left to a human" in see(f"{reverse('analyses:list')}?show=human").text
