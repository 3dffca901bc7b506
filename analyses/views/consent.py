"""The consent to the processing of health data as a page: give it, withdraw it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from allauth.account.utils import get_next_redirect_url
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import consent as consents
from accounts import rates
from accounts.access import private
from analyses import erasure
from analyses.views.access import person

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


RATES: Final = {"consent": "6/h/user"}


@private(methods=("GET", "HEAD", "POST"))
def consent(request: HttpRequest) -> HttpResponse:
    """Show the wording with a button, or where it is agreed to, what withdrawing means.

    POST gives the consent (`act=give`) and goes on to `next`, or withdraws it (`act=withdraw`).
    """
    user = person(request)
    act = request.POST.get("act", "")
    if request.method != "POST":
        context = {
            "standing": consents.standing(user).value,
            "label": consents.HEALTH_DATA_LABEL,
            "hint": consents.HEALTH_DATA_HINT,
            "next": get_next_redirect_url(request) or "",
        }
        return render(request, "analyses/privacy/consent.html", context)
    if act == "give":
        # Each giving and withdrawing is kept for years. To withdraw is never refused.
        if not rates.within(request, "consent", RATES):
            messages.error(request, _("You gave and withdrew it several times. Try in an hour."))
            return redirect("analyses:consent")
        consents.agree(user)
        messages.success(request, _("You gave your consent. You can send photos."))
        return redirect(get_next_redirect_url(request) or reverse("analyses:privacy"))
    if act != "withdraw":
        return redirect("analyses:consent")
    erasure.withdraw_consent(user)
    messages.success(
        request, _("Your consent is withdrawn. Nothing new is processed, kept back or shared.")
    )
    return redirect("analyses:erase")


def ask_first(request: HttpRequest) -> HttpResponse:
    """Send to the page of the consent, from where one comes back here."""
    query = urlencode({REDIRECT_FIELD_NAME: request.get_full_path()})
    return redirect(f"{reverse('analyses:consent')}?{query}")
