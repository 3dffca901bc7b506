"""Nothing opens to a dermatologist or administrator before the second factor is set up."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from django.http import HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import second_factor
from accounts.models import User

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

# What setting it up takes, and the ways out of it.
OPEN: Final = (
    "mfa_activate_totp",
    "mfa_add_webauthn",
    "mfa_index",
    "account_reauthenticate",
    "hospital_again",
    "hospital_callback",
    "account_logout",
    "set_language",
    "healthz",
    "readyz",
)


class SecondFactorMiddleware:
    """Sends whoever must have a second factor, and has none, to where it is set up."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass on: what it decides, it decides once the view is known."""
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: object, args: object, kwargs: object
    ) -> HttpResponse | None:
        """Answer in place of the view where the factor is missing."""
        del view, args, kwargs
        match = request.resolver_match
        if not isinstance(request.user, User) or not second_factor.is_missing(request.user):
            return None
        if match is not None and match.view_name in OPEN:
            return None
        if request.path.startswith("/api/"):
            return JsonResponse(
                {
                    "type": "about:blank",
                    "title": _("Set up the second factor on the pages first."),
                    "status": HTTPStatus.FORBIDDEN,
                    "code": "second_factor_missing",
                },
                status=HTTPStatus.FORBIDDEN,
                content_type="application/problem+json",
            )
        return HttpResponseRedirect(reverse("mfa_activate_totp"))
