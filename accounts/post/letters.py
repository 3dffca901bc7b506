"""Write an e-mail down, and send what is written.

The request that causes an e-mail takes as long whether the mail server is quick, slow or down, and
nothing is lost with a process: a letter is a row, committed with what it tells of.
"""

from __future__ import annotations

import json
import logging
import smtplib
from contextlib import suppress
from datetime import timedelta
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from pathlib import Path
from typing import TYPE_CHECKING, Final

from celery import current_app
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from accounts.models import Letter
from accounts.vault import vault

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from accounts.models import User

SEND: Final = "accounts.tasks.send_letters"
BROKER_ERRORS: Final = (OperationalError, RedisError, OSError)
# A person waits: without a broker the answer takes a second longer, no more.
IMPATIENT: Final = {"max_retries": 0, "socket_connect_timeout": 1, "socket_timeout": 1}
# Longer than the task may run: whoever claimed it then is no longer at it.
CLAIM_LAPSES: Final = timedelta(minutes=10)
# The links in it are over by then.
KEPT: Final = timedelta(days=3)
AT_ONCE: Final = 100
PERMANENT: Final = 500  # and above, of SMTP (RFC 5321, 4.2.1)
# Of one letter, for its addressee or its content; a sender that is refused is one for all letters.
_REFUSALS: Final = (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError)
_KEY_PURPOSE: Final = b"dermai letter"
_BETWEEN: Final = b"-" * 79 + b"\n"  # as Django ends each mail in a file; there may be several
logger = logging.getLogger(__name__)


def write(*, to: str, subject: str, body: str, user: User | None = None) -> Letter:
    """Write a letter down, in the caller's transaction; a worker sends it after the commit."""
    content = json.dumps({"to": to, "subject": subject, "body": body}).encode()
    letter = Letter.objects.create(
        user=user, sealed=vault(_KEY_PURPOSE).encrypt(content).decode("ascii")
    )
    transaction.on_commit(_ring)
    return letter


def send_due() -> int:
    """Send what waits, oldest first; return how many went out.

    A row is claimed by a conditional update before its mail is sent, so that two workers do not
    send two, and is deleted only afterwards. The claim of a worker that died in between lapses: a
    letter may then come twice, but never not at all. A mail server that does not answer ends the
    round; what it refuses for good, and what nobody could send for three days, is given up.
    """
    old = Letter.objects.filter(written_at__lt=timezone.now() - KEPT)
    if given_up := old.delete()[0]:
        logger.error("%d letters were given up after %d days", given_up, KEPT.days)
    sent = 0
    for letter in _due()[:AT_ONCE]:
        if not _due().filter(pk=letter.pk).update(claimed_at=timezone.now()):
            continue
        own = Letter.objects.filter(pk=letter.pk)
        try:
            _send(letter)
        except InvalidToken:
            logger.error("letter %d was written under a key that is gone", letter.pk)  # noqa: TRY400
        except _REFUSALS as error:
            if not _for_good(error):
                own.update(claimed_at=None)
                continue
            logger.warning("the mail server refuses letter %d", letter.pk)
        except OSError as error:
            logger.warning("the letters wait: %s", type(error).__name__)
            own.update(claimed_at=None)
            break
        else:
            sent += 1
        own.delete()
    return sent


def forget_files(*, to: str = "") -> int:
    """Delete mails that were written to files instead of sent: those `to`, else those past `KEPT`.

    Embedded, without a mail server, they lie in `EMAIL_FILE_PATH`. Return how many went.
    """
    if not settings.EMAIL_BACKEND.endswith("filebased.EmailBackend"):
        return 0
    over = (timezone.now() - KEPT).timestamp()
    deleted = 0
    for path in Path(settings.EMAIL_FILE_PATH).glob("*.log"):
        with suppress(FileNotFoundError):  # another process deletes, too
            mails = path.read_bytes().split(_BETWEEN)[:-1]
            kept = [mail for mail in mails if to.lower() not in _addressees(mail)] if to else mails
            if not to and path.stat().st_mtime < over:
                kept = []
            deleted += len(mails) - len(kept)
            if not kept:
                path.unlink()
            elif len(kept) < len(mails):
                path.write_bytes(b"".join(mail + _BETWEEN for mail in kept))
    return deleted


def _addressees(mail: bytes) -> set[str]:
    headers = BytesHeaderParser().parsebytes(mail)
    return {address.lower() for _name, address in getaddresses(headers.get_all("To", []))}


def _due() -> QuerySet[Letter]:
    free = Q(claimed_at=None) | Q(claimed_at__lt=timezone.now() - CLAIM_LAPSES)
    return Letter.objects.filter(free)


def _send(letter: Letter) -> None:
    content = json.loads(vault(_KEY_PURPOSE).decrypt(letter.sealed.encode("ascii")))
    EmailMessage(
        content["subject"], content["body"], settings.DEFAULT_FROM_EMAIL, [content["to"]]
    ).send()


def _for_good(error: smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError) -> bool:
    """Whether no later try can help; many servers turn a stranger away once (greylisting)."""
    if isinstance(error, smtplib.SMTPDataError):
        return error.smtp_code >= PERMANENT
    return all(code >= PERMANENT for code, _words in error.recipients.values())


def _ring() -> None:
    """Call the maintenance worker; without a broker its next round, within a minute, does."""
    try:
        with current_app.connection_for_write(transport_options=IMPATIENT) as connection:
            current_app.send_task(SEND, connection=connection)
    except BROKER_ERRORS as error:
        logger.warning("a letter waits for the broker: %s", error)
