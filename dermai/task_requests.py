"""Tasks whose messages are looked at before they are believed.

Celery ends the whole worker at a message whose body is JSON but not `[args, kwargs, embed]`, puts
the message back, and ends the next worker at it, too. Here it is refused like any other bad one.
Celery lets a message bring time limits of its own; here the worker's settings alone decide.
"""

from __future__ import annotations

from typing import Any

import celery
from celery.exceptions import InvalidTaskError
from celery.worker.request import Request


class CheckedRequest(Request):  # type: ignore[misc]  # untyped library
    """A message that names a task of ours. Raises `InvalidTaskError`: it is logged and dropped."""

    def __init__(self, message: Any, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(message, *args, **kwargs)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise InvalidTaskError("the message's body is not that of a task") from error
        given = self._request_dict
        if not isinstance(given["args"], list | tuple) or not isinstance(given["kwargs"], dict):
            raise InvalidTaskError("the message's arguments are not those of a task")
        self.time_limits = (None, None)


class Task(celery.Task):  # type: ignore[misc]  # untyped library
    """What every task of ours is."""

    Request = "dermai.task_requests:CheckedRequest"
