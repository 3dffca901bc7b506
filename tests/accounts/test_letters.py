"""E-mails of the accounts: a row at once, a mail soon, never none."""

from __future__ import annotations

import os
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery
from django.core import mail
from django.core.mail import EmailMessage
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts import tasks
from accounts.models import Letter
from accounts.post import letters
from accounts.tasks import send_letters
from analyses import erasure
from dermai.celery import app
from tests.factories import make_user

if TYPE_CHECKING:
    from pytest_django import DjangoCaptureOnCommitCallbacks
    from pytest_django.fixtures import SettingsWrapper

pytestmark = pytest.mark.django_db
RESET = "/accounts/password/reset/"
HELLO = {"to": "alice@example.org", "subject": "Hello", "body": "A link"}


def test_the_request_writes_and_the_worker_sends(client: Client) -> None:
    alice = make_user("alice", password="correct horse battery staple")
    client.post(RESET, {"email": alice.email})
    assert mail.outbox == []
    letter = Letter.objects.get()
    assert letter.user == alice
    send_letters()
    (message,) = mail.outbox
    assert message.to == [alice.email]
    assert "/password/reset/key/" in message.body
    assert not Letter.objects.exists()


def test_an_unknown_address_gets_a_letter_in_the_same_way(client: Client) -> None:
    client.post(RESET, {"email": "nobody@example.org"})
    assert mail.outbox == []
    assert Letter.objects.get().user is None
    send_letters()
    assert mail.outbox[0].to == ["nobody@example.org"]


def test_the_row_gives_neither_address_nor_link_away() -> None:
    letter = letters.write(**HELLO)
    assert "alice" not in letter.sealed
    assert "link" not in letter.sealed


def test_what_is_rolled_back_is_not_told() -> None:
    with transaction.atomic():
        letters.write(**HELLO)
        transaction.set_rollback(True)
    assert letters.send_due() == 0


def test_a_letter_is_sent_under_an_older_key_too(settings: SettingsWrapper) -> None:
    letters.write(**HELLO)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one, for the old one was seen"
    assert letters.send_due() == 1


def test_a_letter_under_a_lost_key_does_not_hold_the_others_up(settings: SettingsWrapper) -> None:
    letters.write(**HELLO)
    settings.SECRET_KEY = "a new one, and the old one is gone"
    letters.write(**HELLO | {"subject": "Hello again"})
    assert letters.send_due() == 1
    assert [message.subject for message in mail.outbox] == ["Hello again"]
    assert not Letter.objects.exists()


def test_with_the_account_its_letters_go() -> None:
    alice = make_user()
    letters.write(**HELLO, user=alice)
    alice.delete()
    assert letters.send_due() == 0


def test_what_nobody_could_send_for_days_is_given_up() -> None:
    letters.write(**HELLO)
    Letter.objects.update(written_at=timezone.now() - letters.KEPT - timedelta(minutes=1))
    assert letters.send_due() == 0
    assert not Letter.objects.exists()


# --- Calling the worker ---------------------------------------------------------------------------


def waiting_tasks() -> list[str]:
    with app.connection_for_read() as connection:
        found = []
        while message := connection.default_channel.basic_get("maintenance", no_ack=True):
            found.append(str(message.headers["task"]))
        return found


@pytest.mark.usefixtures("inference_queue")
def test_the_worker_is_called_when_the_letter_is_committed(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        letters.write(**HELLO)
        assert waiting_tasks() == []
    assert waiting_tasks() == ["accounts.tasks.send_letters"]


def test_without_a_broker_the_letter_waits_for_the_next_round(
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    nowhere = Celery(broker="redis://127.0.0.1:1", set_as_current=False)
    nowhere.conf.task_publish_retry = False
    monkeypatch.setattr(letters, "current_app", nowhere)
    with django_capture_on_commit_callbacks(execute=True):
        letters.write(**HELLO)
    assert letters.send_due() == 1


def test_the_beat_looks_every_minute(settings: SettingsWrapper) -> None:
    entry = settings.CELERY_BEAT_SCHEDULE["send-letters"]
    assert entry == {"task": send_letters.name, "schedule": 60.0}


# --- Mail servers and workers that fail -----------------------------------------------------------


class Killed(BaseException):
    """The worker ends here."""


def test_a_worker_killed_before_the_mail_is_sent_loses_no_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def die(message: EmailMessage) -> None:
        raise Killed

    letters.write(**HELLO)
    with monkeypatch.context() as patched:
        patched.setattr(EmailMessage, "send", die)
        with pytest.raises(Killed):
            letters.send_due()
    assert letters.send_due() == 0  # its claim still stands
    Letter.objects.update(claimed_at=timezone.now() - letters.CLAIM_LAPSES)
    assert letters.send_due() == 1


class Smtp(socketserver.StreamRequestHandler):
    """As much of a mail server as it takes to refuse a recipient, or what is to be sent."""

    refusal = ""
    at = b"RCPT"

    def handle(self) -> None:
        self._say("220 here")
        for line in self.rfile:
            word = line.split()[0].upper()
            if word == b"QUIT":
                self._say("221 bye")
                return
            self._say(self.refusal if word == self.at else "250 fine")

    def _say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())


@contextmanager
def mail_server(refusal: str, at: bytes = b"RCPT") -> Iterator[int]:
    handler: Any = type("Refusing", (Smtp,), {"refusal": refusal, "at": at})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("refusal", "left"), [("550 no such person", 0), ("450 come again", 1)])
def test_what_the_mail_server_refuses_for_good_is_given_up_and_the_rest_waits(
    settings: SettingsWrapper, refusal: str, left: int
) -> None:
    letters.write(**HELLO)
    with mail_server(refusal) as port:
        use_smtp(settings, port)
        assert letters.send_due() == 0
    assert Letter.objects.count() == left
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert letters.send_due() == left


@pytest.mark.parametrize(("refusal", "left"), [("554 looks like spam", 0), ("451 come again", 2)])
def test_a_letter_whose_content_is_refused_does_not_hold_the_others_up(
    settings: SettingsWrapper, monkeypatch: pytest.MonkeyPatch, refusal: str, left: int
) -> None:
    tried: list[int] = []
    send = letters._send
    monkeypatch.setattr(letters, "_send", lambda one: tried.append(one.pk) or send(one))
    written = [letters.write(**HELLO).pk for _ in range(2)]
    with mail_server(refusal, at=b"DATA") as port:
        use_smtp(settings, port)
        assert letters.send_due() == 0
    assert tried == written
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert letters.send_due() == left


def test_a_mail_server_that_is_down_only_delays(settings: SettingsWrapper) -> None:
    letters.write(**HELLO)
    letters.write(**HELLO)
    use_smtp(settings, 1)
    assert letters.send_due() == 0
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert letters.send_due() == 2


def use_smtp(settings: SettingsWrapper, port: int) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port


class TestMailsInFiles:
    @pytest.fixture
    def folder(self, settings: SettingsWrapper, tmp_path: Path) -> Path:
        """Write mails where the embedded mode does."""
        settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
        settings.EMAIL_FILE_PATH = tmp_path
        for to in ("Alice@example.org", "malice@example.org", "bob@example.org"):
            letters.write(to=to, subject="For you", body="To: alice@example.org")
        assert letters.send_due() == 3
        return tmp_path

    @staticmethod
    def left(folder: Path) -> list[str]:
        mails = b"".join(path.read_bytes() for path in folder.iterdir()).split(b"-" * 79 + b"\n")
        return sorted(str(message_from_bytes(mail)["To"]) for mail in mails[:-1])

    def test_they_are_deleted_after_a_while(self, folder: Path) -> None:
        then = time.time() - letters.KEPT.total_seconds()
        for path in folder.iterdir():
            os.utime(path, (then + 60, then + 60))
        tasks.clear_sessions()
        assert len(self.left(folder)) == 3
        for path in folder.iterdir():
            os.utime(path, (then - 5, then - 5))
        tasks.clear_sessions()
        assert self.left(folder) == []

    def test_of_a_file_of_several_the_others_stay(self, folder: Path) -> None:
        together = b"".join(path.read_bytes() for path in folder.iterdir())
        for path in folder.iterdir():
            path.unlink()
        (folder / "one.log").write_bytes(together)
        assert letters.forget_files(to="ALICE@example.org") == 1
        assert self.left(folder) == ["bob@example.org", "malice@example.org"]

    def test_erasing_an_account_deletes_the_mails_to_it_and_no_others(
        self, folder: Path, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        alice = make_user("alice")
        with django_capture_on_commit_callbacks(execute=True):
            erasure.erase_account(alice)
        assert self.left(folder) == ["bob@example.org", "malice@example.org"]

    def test_a_mail_server_has_no_files(self, folder: Path, settings: SettingsWrapper) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        assert letters.forget_files(to="bob@example.org") == 0
        assert len(self.left(folder)) == 3
