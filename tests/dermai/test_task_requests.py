"""A message that is not that of a task is refused, instead of ending the worker."""

from __future__ import annotations

import json
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from celery import current_app
from celery.exceptions import InvalidTaskError
from celery.worker.request import create_request_cls
from kombu.message import Message
from kombu.utils.imports import symbol_by_name

from analyses.tasks import reconcile


def received(body: object, **headers: object) -> Any:
    """Make of `body` what a worker makes of it."""
    task = current_app.tasks[reconcile.name]
    base = symbol_by_name(task.Request)
    request = create_request_cls(base, task, SimpleNamespace(apply_async=None), "h", None)
    message = Message(
        json.dumps(body).encode(),
        content_type="application/json",
        content_encoding="utf-8",
        headers={"task": task.name, "id": str(uuid.uuid4()), **headers},
        properties={},
        delivery_info={},
    )
    return request(message, app=current_app, task=task, body=message.body, headers=message.headers)


@pytest.mark.parametrize("body", [[], "abc", {"a": 1}, ["ab", {}, {}], [[], "ab", {}]])
def test_a_body_that_is_not_that_of_a_task_is_refused(body: object) -> None:
    with pytest.raises(InvalidTaskError):
        received(body)


def test_the_body_of_a_task_is_taken() -> None:
    assert received([["an id"], {}, {}]).args == ["an id"]


def test_a_message_sets_no_time_limits_of_its_own() -> None:
    forged = received([["an id"], {}, {}], timelimit=[10**6, 10**6])
    assert forged.time_limits == (None, None)
