"""The accounts' letters; upkeep of trail and sessions, daily. All on the maintenance queue."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from celery import shared_task
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from accounts.audit import chain
from accounts.post import letters
from accounts.recovery import services as recovery
from accounts.sessions import limits

SOFT_LIMIT: Final = 250  # s
HARD_LIMIT: Final = 280  # s
LETTERS_SOFT_LIMIT: Final = 50  # s
LETTERS_HARD_LIMIT: Final = 55  # s
logger = logging.getLogger(__name__)


@shared_task(name=letters.SEND, soft_time_limit=LETTERS_SOFT_LIMIT, time_limit=LETTERS_HARD_LIMIT)
def send_letters() -> None:
    """Send what waits: called when a letter is written, and every minute for what was left."""
    letters.send_due()


@shared_task(name="accounts.tasks.seal_trail", soft_time_limit=SOFT_LIMIT, time_limit=HARD_LIMIT)
def seal_trail() -> None:
    """Sign the end of the trail: what stands before it can no longer be rewritten as a whole.

    The log keeps it too. Where the log goes to another machine, nobody who has the database, its
    checkpoints and even the key can take back what was sealed: `verify_audit --seal`.
    """
    if sealed := chain.seal():
        logger.info("the trail is sealed at %d:%s", sealed.event_id, sealed.hash)


@shared_task(name="accounts.tasks.cut_trail", soft_time_limit=SOFT_LIMIT, time_limit=HARD_LIMIT)
def cut_trail() -> None:
    """Cut what is older than `AUDIT_RETENTION_DAYS`, behind a signed checkpoint."""
    limit = timezone.now() - timedelta(days=settings.AUDIT_RETENTION_DAYS)
    if cut := chain.cut_before(limit):
        logger.info("retention cut %d events from the trail", cut)


@shared_task(
    name="accounts.tasks.clear_sessions", soft_time_limit=SOFT_LIMIT, time_limit=HARD_LIMIT
)
def clear_sessions() -> None:
    """Delete sessions that have expired, their list, requests that are over, and mails in files."""
    SessionStore.clear_expired()
    limits.forget_ended()
    recovery.forget_over()
    letters.forget_files()
