"""Tell a patient by e-mail that there is an answer: a link, and nothing clinical."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import locks
from accounts.post import letters
from analyses.models import Review

if TYPE_CHECKING:
    import uuid

    from accounts.models import User

AT_ONCE: Final = 100


def write_due() -> int:
    """Write a letter for each version of a review that has none; return how many were written.

    The letter and the mark that it was written commit together, so that a patient is told once
    whoever dies in between. The mail server is the business of `accounts.post.letters`.
    """
    waiting = Review.objects.filter(notified_at=None).order_by("created_at")
    written = 0
    ids = waiting.values_list("pk", "analysis_id", "analysis__owner")
    for pk, analysis_id, owner_id in ids[:AT_ONCE]:
        with transaction.atomic():
            patients = locks.keep(owner_id)  # a letter refers to them
            marked = waiting.filter(pk=pk).update(notified_at=timezone.now())
            if marked and patients and patients[0].is_active:
                _write(patients[0], analysis_id)
                written += 1
    return written


def _write(patient: User, analysis_id: uuid.UUID) -> None:
    path = reverse("analyses:detail", args=[analysis_id])
    with translation.override(patient.language or settings.LANGUAGE_CODE):
        body = render_to_string(
            "analyses/email/answered.txt",
            {"name": patient.name, "link": f"{settings.PUBLIC_URL}{path}"},
        )
        subject = f"{settings.ACCOUNT_EMAIL_SUBJECT_PREFIX}{_('There is an answer for you')}"
    letters.write(to=patient.email, subject=subject, body=body, user=patient)
