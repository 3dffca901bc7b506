"""Notes in the trail who asked for an object that exists but is not theirs.

The answer is a plain 404, as for an address that never existed. That it was a denial is known here
alone, for pages and API alike: one place, so that no view can forget it.
"""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession

from accounts.audit.denials import note
from accounts.care.models import CareRelationship
from accounts.models import ApiToken, User
from analyses.models import Analysis, Lesion

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse


SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class DenialMiddleware:
    """Records a 404 for somebody else's object as DENIED."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, then look at what was refused."""
        response = self.get_response(request)
        user = request.user
        if response.status_code == HTTPStatus.NOT_FOUND and isinstance(user, User):
            self._note(user, request)
        return response

    def _note(self, user: User, request: HttpRequest) -> None:
        match = request.resolver_match
        for name, value in match.kwargs.items() if match is not None else ():
            found = _denied(user, name, value, unsafe=request.method not in SAFE)
            _note(request, user, found, object_id=str(value))


def note_record(request: HttpRequest, user: User, owner_id: uuid.UUID) -> None:
    """Record that `user` asked for the whole record of a person, if there is such a one."""
    if User.objects.filter(pk=owner_id).exists():
        note(request, user, subject_id=owner_id, object_type="record", object_id=str(owner_id))


def note_named(request: HttpRequest, user: User, named: object) -> None:
    """Record that a request names, not in its address, a record that was refused to `user`.

    `named` may be anything that was sent; what is no id of a record is none of somebody's.
    """
    try:
        record_id = uuid.UUID(str(named))
    except ValueError:
        return
    found = _denied_record(user, record_id, unsafe=request.method not in SAFE)
    _note(request, user, found, object_id=str(record_id))


def _note(
    request: HttpRequest, user: User, found: tuple[str, uuid.UUID] | None, *, object_id: str
) -> None:
    if found is not None:
        kind, owner_id = found
        note(request, user, subject_id=owner_id, object_type=kind, object_id=object_id)


def _denied(user: User, name: str, value: object, *, unsafe: bool) -> tuple[str, uuid.UUID] | None:
    """Return what `value` names and whose it is, if it exists and was refused to `user`.

    What a person may see but not change, as a dermatologist a patient's record, is refused only
    to an `unsafe` method.
    """
    if isinstance(value, uuid.UUID):
        return _denied_record(user, value, unsafe=unsafe)
    if not isinstance(value, int):
        return None
    if name == "token_id":
        token = ApiToken.objects.filter(pk=value).exclude(user=user).first()
        return ("api_token", token.user_id) if token else None
    if name == "session_id":
        session = UserSession.objects.filter(pk=value).exclude(user=user).first()
        return ("session", session.user_id) if session else None
    if name == "pk":  # of the library's pages: every record of ours has an UUID
        passkeys = Authenticator.objects.filter(type=Authenticator.Type.WEBAUTHN)
        passkey = passkeys.filter(pk=value).exclude(user=user).first()
        return ("passkey", passkey.user_id) if passkey else None
    return None


def _denied_record(
    user: User, record_id: uuid.UUID, *, unsafe: bool
) -> tuple[str, uuid.UUID] | None:
    analysis = Analysis.objects.filter(pk=record_id).only("owner_id").first()
    if analysis is not None:
        allowed = Analysis.objects.visible_to(user).filter(pk=record_id)
        if unsafe:
            allowed = allowed.filter(owner=user)
        return None if allowed.exists() else ("analysis", analysis.owner_id)
    lesion = Lesion.objects.filter(pk=record_id).only("owner_id").first()
    if lesion is not None:
        visible = Lesion.objects.visible_to(user).filter(pk=record_id)
        if unsafe:
            visible = visible.filter(owner=user)
        return None if visible.exists() else ("lesion", lesion.owner_id)
    share = CareRelationship.objects.filter(pk=record_id).first()
    if share is not None and user.pk not in {share.patient_id, share.dermatologist_id}:
        return "care_relationship", share.patient_id
    return None
