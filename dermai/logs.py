"""Log lines that can be followed from a request to its task, without clinical content.

Each line names the request and the task it belongs to. A request is logged by the name of its
route: addresses hold ids, and queries hold what people typed.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from celery import signals
from django.conf import settings
from django.http import HttpRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpResponse

HEADER: Final = "X-Request-ID"
MESSAGE_HEADER: Final = "dermai_request_id"
FROM_A_PROXY: Final = re.compile(r"[0-9A-Za-z-]{8,64}")
# What PostgreSQL adds to an error: the values of the row that it refused.
# A note in it may have lines of its own: only what a traceback goes on with ends it.
DETAIL: Final = re.compile(
    r"^(DETAIL|CONTEXT): .*?(?=^Traceback|^The above exception|^During handling|\Z)",
    re.MULTILINE | re.DOTALL,
)
QUIET: Final = frozenset({"healthz", "readyz"})  # asked every few seconds
current_request: ContextVar[str] = ContextVar("current_request", default="")
current_task: ContextVar[str] = ContextVar("current_task", default="")
logger = logging.getLogger(__name__)


class IdsFilter(logging.Filter):
    """Puts the ids of the request and the task on each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        record.request_id = current_request.get() or "-"
        record.task_id = current_task.get() or "-"
        return True


class RouteFilter(logging.Filter):
    """Names the route where Django names the address, which may be a link out of a mail."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        request = getattr(record, "request", None)
        if isinstance(request, HttpRequest) and isinstance(record.args, tuple):
            addresses = {request.path, request.path_info, request.get_full_path()}
            record.args = tuple(
                route_of(request) if isinstance(arg, str) and arg in addresses else arg
                for arg in record.args
            )
        return True


class LineFormatter(logging.Formatter):
    """One line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without the values of rows."""
        return without_rows(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a line break in a message cannot forge another."""
        said: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": without_rows(record.getMessage()),
            "request_id": getattr(record, "request_id", "-"),
            "task_id": getattr(record, "task_id", "-"),
        }
        if record.exc_info:
            said["exception"] = without_rows(self.formatException(record.exc_info))
        return json.dumps(said, ensure_ascii=False)


def without_rows(text: str) -> str:
    """Take out what a database says of the row that it refused: a result may stand in it."""
    return DETAIL.sub(r"\1: (left out)\n", text)


class RequestLogMiddleware:
    """Gives each request an id, answers with it, and logs what became of the request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Take over a proxy's id only where there is a proxy to trust."""
        given = request.headers.get(HEADER, "") if settings.TRUSTED_PROXIES else ""
        mine = given if FROM_A_PROXY.fullmatch(given) else uuid.uuid4().hex
        token = current_request.set(mine)
        started = time.monotonic()
        try:
            response = self.get_response(request)
            response[HEADER] = mine
            route = route_of(request)
            if route not in QUIET:
                took = 1000 * (time.monotonic() - started)
                said = (request.method, route, response.status_code, took)
                logger.info("%s %s %d in %.0f ms", *said)
            return response
        finally:
            current_request.reset(token)


def route_of(request: HttpRequest) -> str:
    """Return the name of the route that the request came to, "-" for none."""
    return request.resolver_match.view_name if request.resolver_match else "-"


@signals.before_task_publish.connect
def send_the_request_along(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Let the task's lines name the request that it came from."""
    if headers is not None and current_request.get():
        headers[MESSAGE_HEADER] = current_request.get()


@signals.task_prerun.connect
def enter_task(task: Any = None, task_id: str = "", **_: Any) -> None:
    """Name the task, and the request it came from, on the lines that follow."""
    current_task.set(task_id)
    given = getattr(task.request, MESSAGE_HEADER, None) if task is not None else None
    current_request.set(given if isinstance(given, str) and FROM_A_PROXY.fullmatch(given) else "")


@signals.task_postrun.connect
def leave_task(**_: Any) -> None:
    """Forget both."""
    current_task.set("")
    current_request.set("")
