"""Log lines name request and task, and say nothing clinical."""

from __future__ import annotations

import json
import logging
import sys
import uuid
from typing import Any

import pytest
from celery import current_app, shared_task
from celery.app.trace import build_tracer
from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.db import IntegrityError, OperationalError, transaction
from django.test import Client
from django.utils.module_loading import import_string
from pytest_django.fixtures import Settings

from dermai import logs
from tests.factories import make_user


def record(message: str = "hello", **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("dermai.test", logging.INFO, __file__, 1, message, (), None)
    vars(made).update(fields)
    logs.IdsFilter().filter(made)
    return made


def formatted(made: logging.LogRecord) -> dict[str, str]:
    text = logs.JsonFormatter().format(made)
    assert "\n" not in text
    found: dict[str, str] = json.loads(text)
    return found


def test_a_line_break_in_a_message_forges_no_second_line() -> None:
    assert formatted(record('one\n{"level": "INFO"}'))["message"].startswith("one\n")


def test_an_error_keeps_its_traceback() -> None:
    try:
        int("broken")
    except ValueError:
        made = record(exc_info=sys.exc_info())
    assert "ValueError: invalid literal" in formatted(made)["exception"]


# As psycopg spells a row that a constraint refuses.
REFUSED = """new row for relation "analyses_result" violates check constraint "category_known"
DETAIL:  Failing row contains (7, melanoma, 0.97, {"mel": 0.97},
 alice@example.org)."""


@pytest.mark.parametrize(
    "formatter",
    [logs.JsonFormatter(), logs.LineFormatter("%(message)s")],
    ids=["json", "line"],
)
def test_what_a_database_says_of_a_row_stays_out(formatter: logging.Formatter) -> None:
    error = ValueError(REFUSED)
    made = record(f"task raised: {REFUSED}\nTraceback follows", exc_info=(type(error), error, None))
    said = formatter.format(made)
    for word in ("melanoma", "0.97", "alice"):
        assert word not in said
    assert said.count("category_known") == 2
    assert "Traceback follows" in said


def test_a_row_that_the_database_refuses_is_logged_without_its_values(db: None) -> None:
    make_user("alice")
    try:
        with transaction.atomic():
            make_user("alice")
    except IntegrityError:
        said = logs.LineFormatter("%(message)s").format(record("failed", exc_info=sys.exc_info()))
    assert "IntegrityError" in said
    assert "alice@" not in said


def test_a_request_is_answered_and_logged_with_one_id_and_no_address(
    client: Client, db: None, caplog: pytest.LogCaptureFixture
) -> None:
    client.force_login(make_user())
    analysis = uuid.uuid4()
    with caplog.at_level(logging.INFO, logger="dermai.logs"):
        answer = client.get(f"/analyses/{analysis}/?q=secret-words")
    assert len(answer["X-Request-ID"]) == 32
    [line] = [one.getMessage() for one in caplog.records if one.name == "dermai.logs"]
    assert line.startswith("GET analyses:detail 404 in ")
    assert str(analysis) not in caplog.text
    assert "secret-words" not in caplog.text
    assert logs.current_request.get() == ""


@pytest.fixture
def _said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Let what is caught pass the filters of the handler that writes the log."""
    for name in settings.LOGGING["handlers"]["console"]["filters"]:
        made = import_string(settings.LOGGING["filters"][name]["()"])()
        caplog.handler.addFilter(made)


@pytest.mark.usefixtures("_said")
@pytest.mark.parametrize(
    ("address", "route"),
    [
        ("/accounts/second-factor-reset/a-secret-token/", "accounts:confirm_reset_by_mail"),
        ("/accounts/password/reset/key/2-a-secret-key/", "account_reset_password_from_key"),
        (f"/analyses/{uuid.UUID(int=7)}/delete/", "analyses:delete"),
    ],
)
def test_no_link_out_of_a_mail_and_no_id_is_logged(
    address: str,
    route: str,
    db: None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    assert client.post(address, {}).status_code == 403
    assert f"Forbidden (CSRF cookie not set.): {route}" in caplog.text

    def broken(*_: object, **__: object) -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(BaseHandler, "check_response", broken)
        assert client.get(address).status_code == 500
    assert f"Internal Server Error: {route}" in caplog.text
    for secret in ("a-secret", "0000-000000000007", address):
        assert secret not in "".join(one.getMessage() for one in caplog.records)


def test_a_strangers_request_id_is_taken_over_from_a_trusted_proxy_only(
    client: Client, settings: Settings
) -> None:
    given = {"X-Request-ID": "abcdef0123456789"}
    assert client.get("/healthz", headers=given)["X-Request-ID"] != "abcdef0123456789"
    settings.TRUSTED_PROXIES = 1
    assert client.get("/healthz", headers=given)["X-Request-ID"] == "abcdef0123456789"
    forged = {"X-Request-ID": "x" * 65}
    assert client.get("/healthz", headers=forged)["X-Request-ID"] != "x" * 65


def test_a_task_is_logged_under_its_own_id_and_its_requests(
    inference_queue: None, settings: Settings
) -> None:
    seen: list[logging.LogRecord] = []

    @shared_task(name="tests.dermai.look")
    def look() -> None:
        seen.append(record())

    token = logs.current_request.set("abcdef0123456789")
    current_app.send_task("tests.dermai.look", queue="maintenance")
    logs.current_request.reset(token)
    with current_app.connection_for_read() as connection:
        message = connection.SimpleQueue("maintenance").get(timeout=5)
        message.ack()
    assert message.headers[logs.MESSAGE_HEADER] == "abcdef0123456789"
    task = current_app.tasks["tests.dermai.look"]
    request = {"id": "t-1", logs.MESSAGE_HEADER: "abcdef0123456789"}
    build_tracer(task.name, task, app=current_app)("t-1", (), {}, request)
    assert seen[0].__dict__["task_id"] == "t-1"
    assert seen[0].__dict__["request_id"] == "abcdef0123456789"
    assert logs.current_task.get() == ""
