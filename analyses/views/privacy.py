"""A person's rights as buttons: take along, delete, withdraw, erase."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from allauth.account.internal.flows.reauthentication import (
    is_reauthentication_required,
    suspend_request,
)
from allauth.core.internal import ratelimit
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import consent as consents
from accounts.access import fresh, private
from accounts.people import LastAdminError
from analyses import archive, erasure, trace
from analyses.models import Analysis, Lesion
from analyses.presentation import entry
from analyses.privacy_forms import EraseForm
from analyses.views.access import person

if TYPE_CHECKING:
    import uuid

    from django.http import HttpRequest

YEAR: Final = 365  # days
READ_AND_POST: Final = ("GET", "HEAD", "POST")
# Guessing the password here is as good as guessing it at the sign-in.
RATES: Final = {"erase": "5/10m/user", "export_record": "6/h/user"}


@private()
def privacy(request: HttpRequest) -> HttpResponse:
    """Say what is kept and for how long, and offer every right."""
    user = person(request)
    return render(
        request,
        "analyses/privacy/privacy.html",
        {
            "consents": user.consents.all(),
            "standing": consents.standing(user).value,
            "analyses": Analysis.objects.filter(owner=user).count(),
            "held": Analysis.objects.filter(owner=user, held_until__isnull=False).count(),
            "retention_time": _spelled(settings.RETENTION_DAYS),
            "hold_days": settings.REVIEW_HOLD_DAYS,
            "trail_time": _spelled(settings.AUDIT_RETENTION_DAYS),
        },
    )


@private(methods=READ_AND_POST)
@fresh
def export(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Show what there is; POST streams everything about the person as one ZIP."""
    if request.method != "POST":
        return render(request, "analyses/privacy/export.html")
    if not _allowed(request, "export_record"):
        messages.error(request, _("You have taken your record several times. Try in an hour."))
        return redirect("analyses:privacy")
    user = person(request)
    trace.exported(user, [], kind="archive")
    name = f"dermai-{timezone.now():%Y-%m-%d}.zip"
    return StreamingHttpResponse(
        archive.archive(user),
        content_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@private(methods=READ_AND_POST)
def delete_analysis(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ask, then delete one of the person's own analyses."""
    user = person(request)
    own = Analysis.objects.filter(owner=user).select_related("result", "lesion")
    analysis = get_object_or_404(own, pk=pk)
    if request.method != "POST":
        context = {"analysis": analysis, "entry": entry(analysis)}
        return render(request, "analyses/privacy/delete_analysis.html", context)
    try:
        erasure.delete_analysis(analysis_id=pk, by=user)
    except erasure.NotYoursError as error:
        raise Http404 from error
    messages.success(request, _("The analysis has been deleted."))
    return redirect("analyses:list")


@private(methods=READ_AND_POST)
def delete_lesion(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ask, then delete one of the person's own lesions with its analyses."""
    user = person(request)
    lesion = get_object_or_404(Lesion, pk=pk, owner=user)
    if request.method != "POST":
        own = Analysis.objects.filter(lesion=lesion, owner=user)
        context = {"lesion": lesion, "count": own.count()}
        return render(request, "analyses/privacy/delete_lesion.html", context)
    try:
        erasure.delete_lesion(lesion_id=pk, by=user)
    except erasure.NotYoursError as error:
        raise Http404 from error
    messages.success(request, _("The lesion and its analyses have been deleted."))
    return redirect("analyses:lesions")


@private(methods=READ_AND_POST)
def erase(request: HttpRequest) -> HttpResponse:
    """Explain, ask for the password, erase the account and sign out."""
    user = person(request)
    if not user.has_usable_password() and is_reauthentication_required(request, app="dermai"):
        response: HttpResponse = suspend_request(request, reverse("account_reauthenticate"))
        return response
    if request.method != "POST":
        return _erase_page(request, EraseForm(user=user))
    if not _allowed(request, "erase"):
        # Nothing of what was sent is looked at: a form that was would tell of the password.
        messages.error(request, _("Too many tries. Wait ten minutes."))
        response = _erase_page(request, EraseForm(user=user), HTTPStatus.TOO_MANY_REQUESTS)
        response["Retry-After"] = "600"  # s, as the words say
        return response
    form = EraseForm(request.POST, user=user)
    if not form.is_valid():
        return _erase_page(request, form, HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        erasure.erase_account(user)
    except LastAdminError:
        form.add_error(
            None, _("You are the last active administrator. Make another person one first.")
        )
        return _erase_page(request, form, HTTPStatus.CONFLICT)
    request.session.flush()
    messages.success(request, _("Your account and everything in it has been erased."))
    return redirect("home")


def _erase_page(request: HttpRequest, form: EraseForm, status: int = HTTPStatus.OK) -> HttpResponse:
    context = {"form": form, "analyses": person(request).analyses.count()}
    return render(request, "analyses/privacy/erase.html", context, status=status)


def _spelled(days: int | None) -> str:
    """Spell a period: in years where it is whole years."""
    if not days:
        return ""
    years, rest = divmod(days, YEAR)
    if years and not rest:
        return ngettext("%(count)d year", "%(count)d years", years) % {"count": years}
    return ngettext("%(count)d day", "%(count)d days", days) % {"count": days}


def _allowed(request: HttpRequest, action: str) -> bool:
    return bool(ratelimit.consume(request, app="dermai", action=action, config=RATES))
