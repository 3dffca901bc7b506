"""The answer to a request that Django refused to read: the limit that it met, else the page."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import TooManyFilesSent
from django.http import HttpResponse
from django.views import defaults

from analyses.exceptions import TooManyFilesError

if TYPE_CHECKING:
    from django.http import HttpRequest


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 413 to too many files, in plain words as for a body that is too large; else 400."""
    if not isinstance(exception, TooManyFilesSent):
        return defaults.bad_request(request, exception)
    return HttpResponse(
        TooManyFilesError(limit=settings.DATA_UPLOAD_MAX_NUMBER_FILES).message,
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        content_type="text/plain; charset=utf-8",
    )
