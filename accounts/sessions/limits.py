"""A session ends after a time without activity, and after a time whatever happens in it.

Django's own limit counts from the last write to the session, so it is neither of the two.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.sessions.backends.base import SessionBase
    from django.http import HttpRequest, HttpResponse

BEGAN: Final = "began_at"
SEEN: Final = "seen_at"
# Activity is written down so often at most: each time costs two writes.
NOTED_EVERY: Final = 60  # s


class SessionLimitsMiddleware:
    """Signs out whose session is over; notes the activity of the others."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Look before any view does."""
        if isinstance(request.user, User):
            if is_over(request.session):
                logout(request)
                if not request.path.startswith("/api/"):
                    messages.info(request, _("You were signed out after a while. Sign in again."))
            # A page that polls is no person. But the first look counts, or none ever need.
            elif "HX-Request" not in request.headers or SEEN not in request.session:
                note_activity(request)
        return self.get_response(request)


def is_over(session: SessionBase) -> bool:
    """Whether the session has been idle, or open, for longer than the settings allow."""
    now = time.time()
    idle = now - session.get(SEEN, now)
    age = now - session.get(BEGAN, now)
    return bool(idle > settings.SESSION_IDLE_LIMIT or age > settings.SESSION_MAX_AGE)


def note_activity(request: HttpRequest) -> None:
    """Write down when the session was used last, and by which client, once a minute at most."""
    now = int(time.time())
    session = request.session
    session.setdefault(BEGAN, now)
    if now - session.get(SEEN, 0) < NOTED_EVERY:
        return
    session[SEEN] = now
    known = UserSession.objects.filter(session_key=session.session_key)
    if not known.update(last_seen_at=timezone.now()):
        UserSession.objects.create_from_request(request)


def note_new_key(request: HttpRequest) -> None:
    """List a session that goes on under a new key."""
    request.session.pop(SEEN, None)
    note_activity(request)


def forget_ended() -> int:
    """Delete the entries of sessions that no longer exist; return how many."""
    return sum(entry.purge() for entry in UserSession.objects.select_related("user").iterator())
