"""Read the trail: the administrator's search, and who opened a person's record."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from django.db.models import Q
from django.utils import timezone

from accounts.audit.models import Action, AuditEvent
from accounts.models import User

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import QuerySet

# What somebody else did with a person's record, in the words of the actions.
OPENINGS: Final = (
    Action.READ,
    Action.IMAGE_READ,
    Action.LISTED,
    Action.EXPORTED,
    Action.REVIEWED,
    Action.REVIEW_AMENDED,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One event with the people's names; "" where nobody acted or the account is gone."""

    event: AuditEvent
    actor: str
    subject: str


def search(
    *, action: str = "", who: str = "", since: date | None = None, until: date | None = None
) -> QuerySet[AuditEvent]:
    """Return the events that match, newest first. `since` and `until` are days, both included."""
    events = AuditEvent.objects.order_by("-id")
    if action:
        events = events.filter(action=action)
    if who.strip():
        person_id = _person_id(who.strip())
        events = (
            events.filter(Q(actor_id=person_id) | Q(subject_id=person_id))
            if person_id
            else events.none()
        )
    if since:
        events = events.filter(at__gte=_midnight(since))
    if until:
        events = events.filter(at__lt=_midnight(until + timedelta(days=1)))
    return events


def openings_of(user: User) -> QuerySet[AuditEvent]:
    """Return what others did with the record of `user`, newest first."""
    return (
        AuditEvent.objects.filter(subject_id=user.pk, action__in=OPENINGS, actor_id__isnull=False)
        .exclude(actor_id=user.pk)
        .order_by("-id")
    )


def lines(events: Iterable[AuditEvent]) -> list[Line]:
    """Put the names to a page of events, with one query."""
    page = list(events)
    ids = {pk for e in page for pk in (e.actor_id, e.subject_id) if pk is not None}
    names = {
        pk: name or email
        for pk, name, email in User.objects.filter(pk__in=ids).values_list("pk", "name", "email")
    }
    return [
        Line(
            event,
            names.get(event.actor_id, "") if event.actor_id else "",
            names.get(event.subject_id, "") if event.subject_id else "",
        )
        for event in page
    ]


def _person_id(who: str) -> uuid.UUID | None:
    if "@" in who:
        return User.objects.filter(email__iexact=who).values_list("pk", flat=True).first()
    try:
        return uuid.UUID(who)
    except ValueError:
        return None


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
