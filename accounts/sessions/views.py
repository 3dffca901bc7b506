"""Where a person is signed in, and the buttons that end it from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.access import person, private
from accounts.sessions import ending

# In this order: the later ones claim to be the earlier ones as well.
BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """One session as the page shows it."""

    session: UserSession
    client: str
    here: bool


@private()
def sessions(request: HttpRequest) -> HttpResponse:
    """List the person's live sessions, the present one first, then the latest used."""
    user = person(request)
    live = UserSession.objects.purge_and_list(user)
    key = request.session.session_key
    places = [Place(one, client_name(one.user_agent), one.session_key == key) for one in live]
    places.sort(key=lambda place: (not place.here, -place.session.last_seen_at.timestamp()))
    return render(request, "accounts/sessions/sessions.html", {"places": places})


@private(methods=("POST",))
def end(request: HttpRequest, session_id: int) -> HttpResponse:
    """End one of the person's own sessions elsewhere; anybody else's does not exist."""
    user = person(request)
    others = UserSession.objects.filter(user=user).exclude(session_key=request.session.session_key)
    session = others.filter(pk=session_id).first()
    if session is None:
        raise Http404
    ending.end(user, [session])
    messages.success(request, _("That device is signed out."))
    return redirect("accounts:sessions")


@private(methods=("POST",))
def end_others(request: HttpRequest) -> HttpResponse:
    """End every session of the person but this one."""
    user = person(request)
    count = ending.end_others(user, here=request.session.session_key)
    messages.success(
        request,
        ngettext(
            "%(count)d other device is signed out.",
            "%(count)d other devices are signed out.",
            count,
        )
        % {"count": count},
    )
    return redirect("accounts:sessions")


def client_name(user_agent: str) -> str:
    """Name browser and system in words a person knows, as far as the header tells."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or _("Unknown program")
