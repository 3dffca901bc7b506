"""The page for whoever asked too often."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from django.shortcuts import render

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

# The longest window of those limits of the sign-in pages that end in this page.
RETRY_AFTER: Final = 60  # s


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """Answer 429, for every reason alike: it must not tell whether there is an account."""
    response = render(request, "429.html", status=HTTPStatus.TOO_MANY_REQUESTS)
    response["Retry-After"] = str(RETRY_AFTER)
    return response
