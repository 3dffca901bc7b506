"""Sharing: the patient's page, the dermatologist's page, and the ways to end it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts.access import deny_page, person, private
from accounts.care import services, wording
from accounts.care.forms import ShareForm
from accounts.care.models import CareRelationship
from accounts.care.throttle import RETRY_AFTER, may_look_up
from accounts.models import Role

if TYPE_CHECKING:
    import uuid


def _shares_anew(request: HttpRequest) -> bool:
    return request.method == "POST" and not person(request).is_admin


@private(methods=("GET", "HEAD", "POST"))
@reauthentication_required(enabled=_shares_anew)  # type: ignore[untyped-decorator]
def sharing(request: HttpRequest) -> HttpResponse:
    """Show whom the person shares with; POST shares with one more dermatologist.

    An administrator shares with nobody, but can end what is from before they were one.
    """
    if request.method == "POST" and person(request).is_admin:
        deny_page(request)
    if request.method != "POST":
        return _sharing_page(request, ShareForm())
    form = ShareForm(request.POST)
    if not form.is_valid():
        return _sharing_page(request, form, HTTPStatus.UNPROCESSABLE_ENTITY)
    if not may_look_up(request):
        form.add_error(
            "reference",
            _("You have tried too often. Wait ten minutes, and ask for the code once more."),
        )
        response = _sharing_page(request, form, HTTPStatus.TOO_MANY_REQUESTS)
        response["Retry-After"] = str(RETRY_AFTER)
        return response
    try:
        relationship = services.share(
            patient=person(request),
            reference=form.cleaned_data["reference"],
            scope=form.cleaned_data["scope"],
        )
    except services.DermatologistNotFoundError:
        form.add_error(
            "reference",
            _("No dermatologist uses this code or address here. Check what you were given."),
        )
    except services.AlreadySharedError:
        form.add_error(
            "reference",
            _("You share with this dermatologist already. End that first to choose anew."),
        )
    else:
        messages.success(
            request,
            _("You now share your record with %(who)s.")
            % {"who": services.name_of(relationship.dermatologist)},
        )
        return redirect("accounts:sharing")
    return _sharing_page(request, form, HTTPStatus.UNPROCESSABLE_ENTITY)


@private(methods=("POST",))
def end_sharing(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """End one sharing at once, from either side."""
    user = person(request)
    if not services.revoke(relationship_id=pk, by=user):
        raise Http404
    messages.success(request, _("The sharing has ended. It took effect at once."))
    own = CareRelationship.objects.filter(pk=pk, patient=user).exists()
    return redirect("accounts:sharing" if own else "accounts:patients")


@private(Role.DERMATOLOGIST)
def patients(request: HttpRequest) -> HttpResponse:
    """Show the dermatologist's code and who shares with them."""
    user = person(request)
    relationships = CareRelationship.objects.granting(user).select_related("patient")
    return render(
        request,
        "accounts/care/patients.html",
        {
            "code": services.invitation_code(dermatologist=user),
            "relationships": relationships.order_by("-consented_at"),
        },
    )


@private(Role.DERMATOLOGIST, methods=("POST",))
def renew_code(request: HttpRequest) -> HttpResponse:
    """Replace the code; the old one finds nobody any more."""
    services.invitation_code(dermatologist=person(request), renew=True)
    messages.success(request, _("You have a new code. The old one no longer works."))
    return redirect("accounts:patients")


def _sharing_page(
    request: HttpRequest, form: ShareForm, status: int = HTTPStatus.OK
) -> HttpResponse:
    shares = CareRelationship.objects.filter(patient=person(request)).select_related(
        "dermatologist"
    )
    context = {
        "form": form,
        "current": shares.filter(revoked_at__isnull=True),
        "past": shares.filter(revoked_at__isnull=False).order_by("-revoked_at"),
        "what_they_see": wording.WHAT_THEY_SEE,
    }
    return render(request, "accounts/care/sharing.html", context, status=status)
