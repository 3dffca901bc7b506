"""The e-mails that the accounts have caused, as the worker sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.core import mail

from accounts.post import letters

if TYPE_CHECKING:
    from django.core.mail import EmailMessage


def delivered() -> list[EmailMessage]:
    """Send what waits, as the maintenance worker does; return all that was sent in this test."""
    letters.send_due()
    return list(mail.outbox)


def path_of(link: str) -> str:
    """Return the path of a mailed link, which leads to the public address and nowhere else."""
    assert link.startswith(f"{settings.PUBLIC_URL}/")
    return link.removeprefix(settings.PUBLIC_URL)
