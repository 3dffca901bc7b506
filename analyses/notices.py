"""Tell a patient by e-mail that there is an answer: a link, and nothing clinical."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.core.mail import send_mail
from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from analyses.models import Review

if TYPE_CHECKING:
    from accounts.models import User
    from analyses.models.review import ReviewQuerySet

# Longer than the task may run: whoever claimed it then is no longer at it.
CLAIM_LAPSES: Final = timedelta(minutes=10)
logger = logging.getLogger(__name__)


def send_due() -> int:
    """Send a notice for each version of a review that has none; return how many went out.

    A row is claimed by a conditional update before its mail is sent, so that two workers do not
    send two, and is marked as told only afterwards. The claim of a worker that died in between
    lapses: the patient may then be told twice, but is never not told.
    """
    sent = 0
    for review in _due().select_related("analysis__owner").order_by("created_at"):
        if not _due().filter(pk=review.pk).update(notice_claimed_at=timezone.now()):
            continue
        own = Review.objects.filter(pk=review.pk)
        try:
            _send(review)
        except OSError as error:
            logger.warning("the notice of review %s waits: %s", review.pk, error)
            own.update(notice_claimed_at=None)
        else:
            own.update(notified_at=timezone.now())
            sent += 1
    return sent


def _due() -> ReviewQuerySet:
    free = Q(notice_claimed_at=None) | Q(notice_claimed_at__lt=timezone.now() - CLAIM_LAPSES)
    return Review.objects.filter(free, notified_at=None)


def _send(review: Review) -> None:
    patient: User = review.analysis.owner
    if not patient.is_active:
        return
    path = reverse("analyses:detail", args=[review.analysis_id])
    with translation.override(patient.language or settings.LANGUAGE_CODE):
        body = render_to_string(
            "analyses/email/answered.txt",
            {"name": patient.name, "link": f"{settings.PUBLIC_URL}{path}"},
        )
        subject = _("There is an answer for you")
        send_mail(
            f"{settings.ACCOUNT_EMAIL_SUBJECT_PREFIX}{subject}",
            body,
            settings.DEFAULT_FROM_EMAIL,
            [patient.email],
        )
