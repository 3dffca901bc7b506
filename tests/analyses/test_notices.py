"""The notice of an answer: a link, nothing clinical, once for each version."""

from __future__ import annotations

import pytest
from django.core import mail
from django.urls import reverse
from django.utils import timezone

from analyses import notices, reviews
from analyses.models import Advice, Opinion, Review
from tests.cases import Case, make_case

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("image_store")]


@pytest.fixture
def case() -> Case:
    return make_case()


def write(case: Case) -> Review:
    return reviews.write(
        analysis_id=case.analysis.pk,
        author=case.bob,
        opinion=Opinion.MELANOMA,
        advice=Advice.SOON,
        note="Come at once",
    )


def test_the_patient_gets_one_link_and_nothing_clinical(case: Case) -> None:
    write(case)
    assert notices.send_due() == 1
    assert notices.send_due() == 0
    (letter,) = mail.outbox
    assert letter.to == [case.alice.email]
    link = reverse("analyses:detail", args=[case.analysis.pk])
    assert f"http://localhost:8000{link}" in letter.body
    content = f"{letter.subject} {letter.body}".casefold()
    for word in ("melanom", "cancer", "benign", "come at once", "bob", "two weeks", "suspicious"):
        assert word not in content


def test_an_amended_answer_is_announced_too(case: Case) -> None:
    first = write(case)
    notices.send_due()
    reviews.amend(review_id=first.pk, author=case.bob, opinion=Opinion.BENIGN, advice=Advice.WATCH)
    assert notices.send_due() == 1


def test_a_mail_server_that_is_down_only_delays_it(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(case)
    with monkeypatch.context() as patched:
        patched.setattr(notices, "send_mail", _refuse)
        assert notices.send_due() == 0
    assert notices.send_due() == 1
    assert len(mail.outbox) == 1


class _Killed(BaseException):
    """The worker ends here."""


def test_a_worker_killed_before_the_mail_is_sent_loses_no_notice(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(case)
    with monkeypatch.context() as patched:
        patched.setattr(notices, "send_mail", _die)
        with pytest.raises(_Killed):
            notices.send_due()
    assert notices.send_due() == 0  # its claim still stands
    Review.objects.update(notice_claimed_at=timezone.now() - notices.CLAIM_LAPSES)
    assert notices.send_due() == 1
    assert len(mail.outbox) == 1


def test_a_closed_account_gets_no_mail(case: Case) -> None:
    write(case)
    case.alice.is_active = False
    case.alice.save()
    notices.send_due()
    assert mail.outbox == []


def test_it_is_in_the_patients_language(case: Case) -> None:
    case.alice.language = "es"
    case.alice.save()
    write(case)
    notices.send_due()
    assert "Hola" in mail.outbox[0].body


def _die(*args: object) -> None:
    raise _Killed


def _refuse(*args: object) -> None:
    raise ConnectionRefusedError
