"""Who may open a page, and that no cache keeps it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, cast

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from accounts.care.models import CareRelationship
from analyses import denials

if TYPE_CHECKING:
    from accounts.models import User

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def clinical(*methods: str) -> Callable[[View[P]], View[P]]:
    """Require a sign-in and one of `methods` (GET and HEAD by default); the answer is no-store."""

    def decorate(view: View[P]) -> View[P]:
        @login_required
        @require_http_methods(["GET", "HEAD", *methods])
        @wraps(view)
        def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            response = view(request, *args, **kwargs)
            response["Cache-Control"] = "no-store, private"
            return response

        return cast("View[P]", guarded)

    return decorate


def patient_asked_for(request: HttpRequest) -> User:
    """Return whose record a list shows: the person's own, or the one that `?patient=` names.

    Raises `Http404` unless that patient shares with the person now; the refusal stands in the
    trail where there is such a person.
    """
    asked = request.GET.get("patient", "")
    user = person(request)
    if asked in {"", str(user.pk)}:
        return user
    try:
        patient_id = uuid.UUID(asked)
    except ValueError as error:
        raise Http404 from error
    grants = CareRelationship.objects.granting(user).filter(patient_id=patient_id)
    grant = grants.select_related("patient").first()
    if grant is None:
        denials.note_record(request, user, patient_id)
        raise Http404
    return grant.patient


def person(request: HttpRequest) -> User:
    """Return who is signed in; only for views behind `clinical`."""
    return cast("User", request.user)
