"""Who may open a page of accounts, and that no cache keeps it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, cast

from allauth.account.internal.flows.reauthentication import is_reauthentication_required
from allauth.core.exceptions import ReauthenticationRequired
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from accounts.audit import denials

if TYPE_CHECKING:
    from accounts.models import Role, User

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def private(
    *roles: Role, methods: tuple[str, ...] = ("GET", "HEAD")
) -> Callable[[View[P]], View[P]]:
    """Require a sign-in, one of `methods`, and one of `roles` (none given: any); no-store.

    For another role the page does not exist: 404, and the denial stands in the trail.
    """

    def decorate(view: View[P]) -> View[P]:
        @login_required
        @require_http_methods(list(methods))
        @wraps(view)
        def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            user = person(request)
            if roles and user.role not in roles:
                deny_page(request)
            response = view(request, *args, **kwargs)
            response["Cache-Control"] = "no-store, private"
            return response

        return cast("View[P]", guarded)

    return decorate


def fresh(view: View[P]) -> View[P]:
    """Ask whoever signed in a while ago who they are; only behind `private` or `login_required`.

    A POST that comes too late is sent to its page first, which asks: allauth would keep what was
    sent in the session meanwhile, passwords too, and answer the question with a file.
    """

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        try:
            late = is_reauthentication_required(request, app="dermai")
        except ReauthenticationRequired:  # by whom the hospital alone can ask
            late = True
        if late and request.method == "POST":
            return redirect(request.path)
        if late:
            raise ReauthenticationRequired
        return view(request, *args, **kwargs)

    return cast("View[P]", guarded)


def deny_page(request: HttpRequest) -> None:
    """Write the denial to the trail and raise `Http404`: not a page of this person's role."""
    note_denied_page(request)
    raise Http404


def note_denied_page(request: HttpRequest) -> None:
    """Write to the trail that the page was not one of this person's role."""
    match = request.resolver_match
    route = match.view_name if match is not None else ""
    denials.note(request, person(request), object_type="page", object_id=route[:64])


def person(request: HttpRequest) -> User:
    """Return who is signed in; only behind `private`."""
    return cast("User", request.user)
