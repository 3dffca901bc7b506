"""Who gets in through the hospital, and as whom."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.base import AuthError, AuthProcess
from django.conf import settings
from django.contrib import messages
from django.shortcuts import redirect
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.models import User

if TYPE_CHECKING:
    from allauth.socialaccount.models import SocialLogin
    from django.http import HttpRequest, HttpResponse

PROVIDER: Final = "hospital"
CLOCKS: Final = 60  # s, they differ
ASKED_KEY: Final = "hospital_asked_at"  # s since 1970, as the hospital says; 0: it does not
MAX_NAME: Final = 120
logger = logging.getLogger(__name__)


def is_linked(user: User) -> bool:
    """Whether the hospital opens the account of `user`."""
    return bool(SocialAccount.objects.filter(user=user, provider=PROVIDER).exists())


def has_ended(user: User) -> bool:
    """Whether the person ended that, and has not allowed it again."""
    return user.hospital_ended_at is not None


def refuse(request: HttpRequest, words: str, *, why: str, trace: bool = True) -> HttpResponse:
    """Note a refusal in the log, and send the person to the sign-in with `words`.

    With `trace` it stands in the trail too: not what anybody can cause by opening an address.
    """
    logger.warning("a sign-in through the hospital was refused: %s", why)
    if trace:
        record(Action.SIGN_IN_FAILED, actor=None, details={"by": PROVIDER})
    messages.error(request, words)
    return redirect("account_login")


class HospitalAccounts(DefaultSocialAccountAdapter):  # type: ignore[misc]  # untyped library
    """Matches verified addresses only, on both sides; a new account is a patient's, if at all."""

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[Any]:
        """Return the provider of the settings; none can be put into the database."""
        del request
        from allauth.socialaccount.adapter import _build_apps_from_settings

        found = _build_apps_from_settings(provider=provider, client_id=client_id)
        return [app for apps in found.values() for app in apps]

    def authenticate_by_email(self, sociallogin: SocialLogin) -> tuple[User, str] | None:
        """Return whose account it is: the address is verified by the hospital and by us.

        One that nobody has confirmed here may have been signed up by a stranger who lies in wait; a
        hospital may give the address of somebody who left to somebody else.
        """
        for address in sociallogin.email_addresses:
            if address.verified:
                ours = EmailAddress.objects.filter(
                    email__iexact=address.email, user__email__iexact=address.email, verified=True
                ).first()
                if ours is not None and not is_linked(ours.user) and not has_ended(ours.user):
                    return ours.user, ours.email
        return None

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Stop what is not the answer to our question, and whoever has no account to get."""
        sociallogin.token = None  # nothing here needs it, and the session would keep it
        _require_answer(request, sociallogin)
        if sociallogin.is_existing:
            return
        address = next((one for one in sociallogin.email_addresses if one.verified), None)
        if address is None:
            _stop(
                request,
                _("Your e-mail address is not confirmed there, so it cannot open an account here."),
                why="address not verified",
            )
        taken = User.objects.filter(email__iexact=address.email).first()
        if taken is not None and is_linked(taken):
            _stop(
                request,
                _("Your address belongs to the account of somebody else. Ask an administrator."),
                why="address of another person",
            )
        if taken is not None and has_ended(taken):
            _stop(
                request,
                _(
                    "You ended this way of signing in. Use your password; you can allow it again "
                    "in your profile."
                ),
                why="ended by the person",
            )
        if taken is not None:
            _stop(
                request,
                _(
                    "There is an account with your address that was never confirmed. Set a new "
                    "password for it by e-mail first."
                ),
                why="address not verified here",
            )
        if settings.OIDC_SIGNUP == "invited":
            _stop(
                request,
                _("There is no account for you yet. Ask an administrator to invite you."),
                why="not invited",
            )

    def populate_user(
        self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]
    ) -> User:
        """Take address and name, never a role."""
        del request
        user: User = sociallogin.user
        user.email = str(data.get("email") or "").lower()
        user.name = str(data.get("name") or "")[:MAX_NAME]
        return user

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: Any = None,
    ) -> None:
        """Send whoever did not get through back to the sign-in."""
        del extra_context
        if error == AuthError.CANCELLED:
            messages.info(request, _("You did not sign in."))
            raise ImmediateHttpResponse(redirect("account_login"))
        # Without an exception nobody has asked us anything: the state was not ours, or is spent.
        answer = failed(request, provider.name, exception, trace=exception is not None)
        raise ImmediateHttpResponse(answer)


def failed(
    request: HttpRequest, name: str, error: Exception | None, *, trace: bool = True
) -> HttpResponse:
    """Answer a provider that gave no answer, or one that does not hold."""
    from accounts.oidc.provider import ProviderError

    # Only our own words: others may quote what the provider sent.
    why = str(error) if isinstance(error, ProviderError) else type(error).__name__
    words = _("Signing in through %s did not work. Try again.") % name
    return refuse(request, words, why=why, trace=trace)


def _require_answer(request: HttpRequest, sociallogin: SocialLogin) -> None:
    """Stop a token that answers another question than this browser asked."""
    asked: dict[str, Any] = sociallogin.state.get("data") or {}
    claims: dict[str, Any] = sociallogin.claims
    words = _("Signing in through %s did not work. Try again.") % sociallogin.provider.name
    if sociallogin.state.get("process") != AuthProcess.LOGIN or not constant_time_compare(
        str(claims.get("nonce")), str(asked.get("nonce"))
    ):
        _stop(request, words, why="the answer is to another question")
    since, at = asked.get("fresh_since"), _seconds(claims.get("auth_time"))
    if since is not None and at < since - CLOCKS:
        _stop(request, words, why="not a fresh sign-in")
    sociallogin.state[ASKED_KEY] = at  # there it outlives the consent page and the second factor


def _seconds(claim: object) -> float:
    return float(claim) if isinstance(claim, int | float) and claim <= time.time() + CLOCKS else 0.0


def _stop(request: HttpRequest, words: str, *, why: str) -> NoReturn:
    raise ImmediateHttpResponse(refuse(request, words, why=why))
