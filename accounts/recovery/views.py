"""The administrators' page of lost second factors, and the page behind the mailed link."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING

from allauth.account.decorators import reauthentication_required
from django import forms
from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.access import person, private
from accounts.models import Role
from accounts.recovery import services

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


class AskForm(forms.Form):
    """Whose second factor is lost."""

    email = forms.EmailField(
        label=gettext_lazy("E-mail address of the person"),
        help_text=gettext_lazy("Make sure in person or by a known phone number who is asking."),
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
        error_messages={"required": gettext_lazy("Enter the e-mail address of the person.")},
    )


@private(Role.ADMIN, methods=("GET", "HEAD", "POST"))
@reauthentication_required  # type: ignore[untyped-decorator]
def resets(request: HttpRequest) -> HttpResponse:
    """List what waits for a second administrator; POST asks for one more."""
    form = AskForm(request.POST or None)
    status = HTTPStatus.OK
    if request.method == "POST":
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        if form.is_valid():
            try:
                services.ask(email=form.cleaned_data["email"], by=person(request))
            except services.NothingToResetError:
                words = _("No account but your own with this address has a second factor.")
                form.add_error("email", words)
            else:
                messages.success(
                    request,
                    _("Asked. It is removed when another administrator or the person confirms."),
                )
                return redirect("accounts:resets")
    waiting = services.open_requests()
    return render(
        request, "accounts/recovery/resets.html", {"form": form, "waiting": waiting}, status=status
    )


@private(Role.ADMIN, methods=("POST",))
@reauthentication_required  # type: ignore[untyped-decorator]
def confirm(request: HttpRequest) -> HttpResponse:
    """Confirm another administrator's request."""
    try:
        user = services.confirm(
            reset_id=uuid.UUID(request.POST.get("reset", "")), by=person(request)
        )
    except (services.NotOpenError, ValueError):
        messages.error(request, _("This request is done or too old. Ask anew."))
    except services.SamePersonError:
        messages.error(request, _("Another administrator has to confirm this, or the person."))
    else:
        messages.success(request, _("The second factor of %s is removed.") % user.email)
    return redirect("accounts:resets")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def by_mail(request: HttpRequest, token: str) -> HttpResponse:
    """Let the person confirm from the mailed link: a page first, as mail programs open links."""
    template = "accounts/recovery/by_mail.html"
    try:
        if request.method == "POST":
            services.confirm_by_mail(token)
            return render(request, template, {"state": "done"})
        services.by_token(token)
    except services.NotOpenError:
        return render(request, template, {"state": "over"}, status=HTTPStatus.NOT_FOUND)
    return render(request, template, {"state": "ask"})
