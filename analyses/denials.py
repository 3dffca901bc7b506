"""Notes in the trail who asked for an object that exists but is not theirs.

The answer is a plain 404, as for an address that never existed. That it was a denial is known here
alone, for pages and API alike: one place, so that no view can forget it.
"""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING

from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.care.models import CareRelationship
from accounts.models import ApiToken, User
from analyses.models import Analysis, Lesion

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse


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
            found = _denied(user, name, value)
            if found is not None:
                kind, owner_id = found
                record(
                    Action.DENIED,
                    actor=user,
                    subject_id=owner_id,
                    object_type=kind,
                    object_id=str(value),
                )


def _denied(user: User, name: str, value: object) -> tuple[str, uuid.UUID] | None:
    """Return what `value` names and whose it is, if it exists and `user` may not see it."""
    if name == "token_id" and isinstance(value, int):
        token = ApiToken.objects.filter(pk=value).exclude(user=user).first()
        return ("api_token", token.user_id) if token else None
    if not isinstance(value, uuid.UUID):
        return None
    analysis = Analysis.objects.filter(pk=value).only("owner_id").first()
    if analysis is not None:
        seen = Analysis.objects.visible_to(user).filter(pk=value).exists()
        return None if seen else ("analysis", analysis.owner_id)
    lesion = Lesion.objects.filter(pk=value).only("owner_id").first()
    if lesion is not None:
        seen = Lesion.objects.visible_to(user).filter(pk=value).exists()
        return None if seen else ("lesion", lesion.owner_id)
    share = CareRelationship.objects.filter(pk=value).first()
    if share is not None and user.pk not in {share.patient_id, share.dermatologist_id}:
        return "care_relationship", share.patient_id
    return None
