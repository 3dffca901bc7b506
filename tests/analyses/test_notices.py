"""The notice of an answer: a link, nothing clinical, once for each version."""

from __future__ import annotations

import smtplib
import uuid

import pytest
from django.core.mail import EmailMessage
from django.urls import reverse

from accounts import locks
from accounts.models import Letter, User
from accounts.post import letters
from analyses import notices, reviews
from analyses.models import Advice, Opinion, Review
from tests.cases import Case, make_case
from tests.post import delivered

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
    assert notices.write_due() == 1
    assert notices.write_due() == 0
    (letter,) = delivered()
    assert letter.to == [case.alice.email]
    link = reverse("analyses:detail", args=[case.analysis.pk])
    assert f"http://localhost:8000{link}" in letter.body
    content = f"{letter.subject} {letter.body}".casefold()
    for word in ("melanom", "cancer", "benign", "come at once", "bob", "two weeks", "suspicious"):
        assert word not in content


def test_an_amended_answer_is_announced_too(case: Case) -> None:
    first = write(case)
    notices.write_due()
    reviews.amend(review_id=first.pk, author=case.bob, opinion=Opinion.BENIGN, advice=Advice.WATCH)
    assert notices.write_due() == 1


def test_a_letter_that_cannot_be_written_leaves_the_answer_to_be_told(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(case)
    with monkeypatch.context() as patched:
        patched.setattr(letters, "write", _die)
        with pytest.raises(_Killed):
            notices.write_due()
    assert notices.write_due() == 1
    assert len(delivered()) == 1


def test_a_letter_written_twice_at_one_moment_is_one(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other worker comes between the look at what waits and the mark."""
    write(case)
    keep = locks.keep

    def others_were_faster(*ids: uuid.UUID) -> list[User]:
        monkeypatch.setattr(locks, "keep", keep)
        assert notices.write_due() == 1
        return keep(*ids)

    monkeypatch.setattr(locks, "keep", others_were_faster)
    assert notices.write_due() == 0
    assert len(delivered()) == 1


def test_an_address_that_the_mail_server_refuses_stands_in_no_log(
    case: Case, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(case)
    monkeypatch.setattr(EmailMessage, "send", _refuse)
    notices.write_due()
    assert delivered() == []
    assert notices.write_due() == 0  # refused for good is not tried every minute for ever
    assert not Letter.objects.exists()
    assert "refuses letter" in caplog.text
    assert case.alice.email not in caplog.text


def test_a_closed_account_gets_no_mail(case: Case) -> None:
    write(case)
    case.alice.is_active = False
    case.alice.save()
    notices.write_due()
    assert delivered() == []


def test_it_is_in_the_patients_language(case: Case) -> None:
    case.alice.language = "es"
    case.alice.save()
    write(case)
    notices.write_due()
    assert "Hola" in delivered()[0].body


class _Killed(BaseException):
    """The worker ends here."""


def _die(**_letter: object) -> None:
    raise _Killed


def _refuse(message: EmailMessage) -> None:
    raise smtplib.SMTPRecipientsRefused({message.to[0]: (550, b"no such user")})
