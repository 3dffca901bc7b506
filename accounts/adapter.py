"""Where our rules of sign-up and sign-in differ from allauth's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.core import context as allauth_context
from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.contrib.sites.shortcuts import get_current_site
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.models import Role, User
from accounts.oidc.adapter import is_linked
from accounts.post import letters

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # untyped library
    """Patients only; guessing is counted per account and address together."""

    def new_user(self, request: HttpRequest) -> User:
        """Return an unsaved patient, whatever the request says."""
        del request
        return User(role=Role.PATIENT)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Count failures per account and address.

        Counted per account alone, anybody could lock a person out from anywhere.
        """
        account = super()._get_login_attempts_cache_key(request, **credentials)
        return f"{account}|{self.get_client_ip(request)}"

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Write the mail down for the maintenance worker: nobody waits for a mail server."""
        request = allauth_context.request
        known = {"request": request, "email": email, "current_site": get_current_site(request)}
        mail = self.render_mail(template_prefix, email, known | context)
        user = context.get("user")
        letters.write(
            to=email,
            subject=mail.subject,
            body=mail.body,
            user=user if isinstance(user, User) else None,
        )

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Ask for the password again only where it was not given just now, at sign-in.

        Whom the hospital alone can ask, allauth would not ask: those are sent there from here.
        """
        del app, kwargs
        request = allauth_context.request
        given = get_authentication_records(request, request.user)
        limit = time.time() - app_settings.REAUTHENTICATION_TIMEOUT
        if any(record["at"] > limit for record in given):
            return False
        methods = self.get_reauthentication_methods(request.user)
        if [method["id"] for method in methods] == ["hospital"]:
            raise ReauthenticationRequired
        return True

    def get_reauthentication_methods(self, user: User) -> list[dict[str, Any]]:
        """Return the ways to show who one is; the hospital for those who have no other."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if not methods and isinstance(user, User) and is_linked(user):
            words = _("Sign in again")
            return [{"id": "hospital", "description": words, "url": reverse("hospital_again")}]
        return methods

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        """Show the pages in the person's language from now on."""
        response: HttpResponse = super().post_login(request, user, **kwargs)
        remember_language(response, user)
        return response


def remember_language(response: HttpResponse, user: User) -> None:
    """Put the language of the profile, if one was chosen, where the pages look for it."""
    if user.language:
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            user.language,
            samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
        )
