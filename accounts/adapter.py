"""Where our rules of sign-up and sign-in differ from allauth's."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.core import context as allauth_context
from allauth.core.exceptions import ReauthenticationRequired
from allauth.core.internal import ratelimit
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from accounts import failures, locks, tokens
from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.models import Role, User
from accounts.oidc.adapter import ASKED_KEY, is_linked
from accounts.post import letters

if TYPE_CHECKING:
    from allauth.socialaccount.models import SocialLogin
    from django.http import HttpRequest, HttpResponse


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # untyped library
    """Patients only; guessing is counted per account and address together."""

    def new_user(self, request: HttpRequest) -> User:
        """Return an unsaved patient, whatever the request says."""
        del request
        return User(role=Role.PATIENT)

    def set_password(self, user: User, password: str) -> None:
        """Set the password of an open account, and nothing else of what was read of it before.

        With it end the tokens: who knew the old password may have made one.
        """
        with transaction.atomic():
            if locks.keep_open(user) is None:
                raise Http404
            user.set_password(password)
            user.save(update_fields=["password"])
            tokens.end_all(user.pk)
            record(Action.PASSWORD_CHANGED, actor=user, subject_id=user.pk)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Count failures per account and address.

        Counted per account alone, anybody could lock a person out from anywhere. Not by the host
        that the request names, of which there may be several, nor by the whole of an IPv6 address,
        of which a single subscriber has 2⁶⁴.
        """
        login = str(credentials.get("email") or credentials.get("username") or "")
        return f"{login.lower()}|{ratelimit.get_ip(request)}"

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Note in the trail a try that comes after too many. Raises `ValidationError` for it."""
        try:
            super().pre_authenticate(request, **credentials)
        except ValidationError:
            failures.record_throttled_password(str(credentials.get("email") or ""))
            raise

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Write the mail down for the maintenance worker: nobody waits for a mail server.

        In the language of the account: who asks may be somebody else, with another.
        """
        user = context.get("user")
        if not isinstance(user, User):
            user = User.objects.filter(email__iexact=email).first()
        here = Site(domain=urlsplit(settings.PUBLIC_URL).netloc)
        known = {"request": allauth_context.request, "email": email, "current_site": here}
        links = {name: public(link) for name, link in context.items() if name.endswith("_url")}
        with translation.override((user and user.language) or translation.get_language()):
            mail = self.render_mail(template_prefix, email, known | context | links)
        letters.write(to=email, subject=mail.subject, body=mail.body, user=user)

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Ask for the password again only where it was not given just now, at sign-in.

        A hospital's sign-in is as fresh as it says itself: it may not have asked the person at all.
        Whom the hospital alone can ask, allauth would not ask: those are sent there from here.
        """
        del app, kwargs
        request = allauth_context.request
        limit = time.time() - app_settings.REAUTHENTICATION_TIMEOUT
        asked_there = request.session.get(ASKED_KEY, 0) > limit
        for given in get_authentication_records(request, request.user):
            if given["at"] > limit and (asked_there or given["method"] != "socialaccount"):
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
        from_hospital: SocialLogin | None = (kwargs["signal_kwargs"] or {}).get("sociallogin")
        if from_hospital is not None:
            request.session[ASKED_KEY] = from_hospital.state.get(ASKED_KEY, 0)
        response: HttpResponse = super().post_login(request, user, **kwargs)
        remember_language(response, user)
        return response


@dataclass(frozen=True, slots=True)
class Site:
    """What mails call this place."""

    domain: str
    name: str = "DermAI"


def public(link: str) -> str:
    """Return `link` at the address of the settings.

    What allauth writes names the host that the request named: any of `ALLOWED_HOSTS`, so that a
    stranger could choose among them where somebody else's reset link leads.
    """
    parts = urlsplit(link)
    return f"{settings.PUBLIC_URL}{parts._replace(scheme='', netloc='').geturl()}"


def remember_language(response: HttpResponse, user: User) -> None:
    """Put the language of the profile, if one was chosen, where the pages look for it."""
    if user.language:
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            user.language,
            httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
            samesite="Lax",
            secure=settings.LANGUAGE_COOKIE_SECURE,
        )
