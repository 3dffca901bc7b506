"""Refuse a request body that is larger than any form of the product, before a byte of it is read.

A file over its own limit, in a body within this one, is refused by name in intake. A body without
Content-Length is empty to Django: nothing of it is read either.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.translation import gettext as _

from analyses.api.problems import problem_response
from analyses.upload_handler import MAX_FULL_FILES

if TYPE_CHECKING:
    from collections.abc import Callable

API: Final = "/api/"
MEGABYTE: Final = 1024 * 1024


class BodyLimitMiddleware:
    """Answers 413 to a body over the limit."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Look at the announced length only."""
        limit = MAX_FULL_FILES * settings.UPLOAD_MAX_BYTES + settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        announced = str(request.META.get("CONTENT_LENGTH") or "0")
        if announced.isdecimal() and int(announced) <= limit:
            return self.get_response(request)
        # Before LocaleMiddleware the thread still has the language of the request before this one.
        with translation.override(translation.get_language_from_request(request)):
            return self._refusal(request, limit // MEGABYTE)

    def _refusal(self, request: HttpRequest, limit: int) -> HttpResponse:
        message = _("The request is larger than %(limit)d MB. Send fewer or smaller files.") % {
            "limit": limit
        }
        if request.path.startswith(API):
            return problem_response(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, code="too_large", detail=message
            )
        return HttpResponse(
            message,
            status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            content_type="text/plain; charset=utf-8",
        )
