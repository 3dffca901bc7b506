"""The way to the hospital's sign-in and back, and the consent of a new patient."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from allauth.account.decorators import reauthentication_required
from allauth.account.utils import get_next_redirect_url
from allauth.core.internal import ratelimit
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.internal.flows import signup as flow
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.base import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from django import forms
from django.conf import settings
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import people
from accounts.access import person, private
from accounts.consent import HEALTH_DATA_HINT, HEALTH_DATA_LABEL, give_health_data_consent
from accounts.forms import PlainForm
from accounts.oidc import linking
from accounts.oidc.adapter import PROVIDER, failed, is_linked
from accounts.oidc.provider import HospitalAdapter

if TYPE_CHECKING:
    from allauth.socialaccount.models import SocialLogin

    from accounts.oidc.provider import HospitalProvider


# Each may cost a request to the provider, and wait for it. A clinic may share one address.
RATES: Final = {"hospital_sign_in": "120/m/ip"}


class TooOftenError(Exception):
    """More sign-ins were begun from one address than a clinic begins. Wait a minute."""


class ConsentForm(PlainForm):
    """What a new patient has to agree to. Name and address come from the hospital."""

    health_data = forms.BooleanField(label=HEALTH_DATA_LABEL, help_text=HEALTH_DATA_HINT)


@never_cache
@require_POST
def sign_in(request: HttpRequest) -> HttpResponse:
    """Send the browser to the hospital's sign-in."""
    provider = _provider(request)
    if request.user.is_authenticated:
        return redirect(settings.LOGIN_REDIRECT_URL)
    if not ratelimit.consume(request, app="dermai", action="hospital_sign_in", config=RATES):
        return failed(request, provider.name, TooOftenError(), trace=False)
    return _send(request, provider)


@private(methods=("GET", "HEAD", "POST"))
def again(request: HttpRequest) -> HttpResponse:
    """Ask whoever has neither password nor factor here to sign in there anew."""
    provider = _provider(request)
    if not is_linked(person(request)):
        raise Http404
    if request.method == "POST":
        return _send(request, provider, fresh=True)
    context = {"hospital": provider.name, "next": get_next_redirect_url(request)}
    return render(request, "accounts/oidc/again.html", context)


@private(methods=("GET", "HEAD", "POST"))
@reauthentication_required  # type: ignore[untyped-decorator]
def link(request: HttpRequest) -> HttpResponse:
    """Show the connection with the hospital; POST ends it, or allows it again."""
    user, hospital = person(request), _provider(request).name
    if request.method != "POST":
        context = {"hospital": hospital, "link": linking.link_of(user)}
        return render(request, "accounts/oidc/link.html", context)
    try:
        if request.POST.get("act") == "end":
            linking.end(request, user, hospital=hospital)
            messages.success(request, _("It is ended. Only your password opens your account now."))
        elif request.POST.get("act") == "allow":
            linking.allow(user)
            messages.success(
                request, _("Allowed. It is connected when you next sign in through it.")
            )
    except linking.OnlyWayInError:
        messages.error(request, _("It is your only way to sign in. Set a password first."))
    except linking.NotLinkedError:
        messages.error(request, _("There is nothing to change: look at what stands here now."))
    return redirect("hospital_link")


@never_cache
@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Take the browser back from there."""
    provider = _provider(request)
    view = OAuth2CallbackView.adapter_view(HospitalAdapter(request, PROVIDER))
    try:
        answer: HttpResponse = view(request)
    except OAuth2Error as error:  # from where allauth does not catch it
        return failed(request, provider.name, error)
    return answer


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    """Ask a person whom the hospital has named for the consent, then make the patient's account."""
    _provider(request)
    login: SocialLogin | None = flow.get_pending_signup(request)
    if login is None or settings.OIDC_SIGNUP != "patients":
        return redirect("account_login")
    form = ConsentForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        context = {"form": form, "email": login.user.email}
        return render(request, "accounts/oidc/signup.html", context)
    flow.clear_pending_signup(request)
    try:
        _make_account(request, login)
    except IntegrityError:
        messages.error(request, _("There is an account with your address by now. Sign in again."))
        return redirect("account_login")
    answer: HttpResponse = flow.complete_social_signup(request, login)
    return answer


def _make_account(request: HttpRequest, login: SocialLogin) -> None:
    with transaction.atomic():
        user = get_adapter().save_user(request, login)
        people.note_created(user, by=user, how=PROVIDER)
        give_health_data_consent(user)


def _provider(request: HttpRequest) -> HospitalProvider:
    """Return the hospital's provider; the page does not exist where none is configured."""
    try:
        return get_adapter().get_provider(request, PROVIDER)  # type: ignore[no-any-return]
    except SocialApp.DoesNotExist as error:
        raise Http404 from error


def _send(request: HttpRequest, provider: HospitalProvider, *, fresh: bool = False) -> HttpResponse:
    """Show a page that goes on by itself.

    Not a redirect: `form-action 'self'` of the CSP holds for every redirect of a sent form, and
    where the hospital sends its people on to is not ours to list.
    """
    nonce = secrets.token_urlsafe(32)
    data: dict[str, Any] = {"nonce": nonce}
    asked = {"nonce": nonce}
    if fresh:
        data["fresh_since"] = int(time.time())
        asked |= {"prompt": "login", "max_age": "0"}
    try:
        answer = provider.redirect(
            request,
            process=AuthProcess.LOGIN,
            next_url=get_next_redirect_url(request),
            data=data,
            auth_params=asked,
        )
    except OAuth2Error as error:
        return failed(request, provider.name, error, trace=False)
    context = {"hospital": provider.name, "target": answer.url}
    return render(request, "accounts/oidc/going.html", context)
