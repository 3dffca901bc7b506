"""Tell a patient by e-mail that there is an answer: a link, and nothing clinical."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from analyses.models import Review

if TYPE_CHECKING:
    from accounts.models import User

logger = logging.getLogger(__name__)


def send_due() -> int:
    """Send a notice for each version of a review that has none; return how many went out.

    A row is claimed by a conditional update before its mail is sent, so that two workers never
    send two; a mail that could not be handed over gives its claim back and is tried again.
    """
    sent = 0
    due = Review.objects.filter(notified_at__isnull=True).select_related("analysis__owner")
    for review in due.order_by("created_at"):
        claimed = Review.objects.filter(pk=review.pk, notified_at__isnull=True)
        if not claimed.update(notified_at=timezone.now()):
            continue
        try:
            _send(review)
        except OSError as error:
            logger.warning("the notice of review %s waits: %s", review.pk, error)
            Review.objects.filter(pk=review.pk).update(notified_at=None)
        else:
            sent += 1
    return sent


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
