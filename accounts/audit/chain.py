"""Write to the trail, seal it, cut its old end, verify it."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone

from accounts.audit.models import Action, AuditCheckpoint, AuditEvent, AuditHead

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from accounts.models import User

GENESIS = "0" * 64
_KEY_PURPOSE = b"dermai audit checkpoint"
_MAX_DETAIL = 120

Detail = str | int | bool


class AuditDetailError(ValueError):
    """A detail that could carry content: only short codes, counts and flags may stand there."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A place where the trail does not hold."""

    event_id: int
    what: str


def record(
    action: Action,
    *,
    actor: User | None,
    subject_id: UUID | None = None,
    object_type: str = "",
    object_id: str = "",
    details: Mapping[str, Detail] | None = None,
) -> AuditEvent:
    """Append one event, in the caller's transaction: the act and its trace commit together.

    `subject_id` is the person whose record it concerns. `details` are short codes and counts.
    Raises `AuditDetailError` for anything that could carry clinical content.
    """
    facts = dict(details or {})
    for key, value in facts.items():
        if not isinstance(value, (str, int, bool)) or len(str(value)) > _MAX_DETAIL:
            msg = f"Audit detail {key!r} must be a code, count or flag (≤ {_MAX_DETAIL} signs)."
            raise AuditDetailError(msg)
    with transaction.atomic():
        head = _locked_head()
        event = AuditEvent(
            id=head.last_id + 1,
            at=timezone.now(),
            action=action,
            actor_id=actor.pk if actor else None,
            actor_role=actor.role if actor else "",
            subject_id=subject_id,
            object_type=object_type,
            object_id=object_id,
            details=facts,
            previous_hash=head.last_hash,
        )
        event.hash = digest(event)
        event.save(force_insert=True)
        head.last_id, head.last_hash = event.id, event.hash
        head.save(update_fields=["last_id", "last_hash"])
    return event


def digest(event: AuditEvent) -> str:
    """Return the SHA-256 (hex) of `event` and of the hash before it."""
    content = [
        event.id,
        _instant(event.at),
        str(event.action),
        str(event.actor_id or ""),
        event.actor_role,
        str(event.subject_id or ""),
        event.object_type,
        event.object_id,
        event.details,
        event.previous_hash,
    ]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def seal(*, cut: bool = False, event_id: int | None = None) -> AuditCheckpoint | None:
    """Sign the chain's end, or the event `event_id`; None where there is nothing to sign."""
    with transaction.atomic():
        head = _locked_head()
        at_event = head.last_id if event_id is None else event_id
        event = AuditEvent.objects.filter(id=at_event).first()
        if event is None:
            return None
        now = timezone.now()
        return AuditCheckpoint.objects.create(
            event_id=event.id,
            hash=event.hash,
            at=now,
            cut=cut,
            signature=_signature(settings.AUDIT_KEY, event.id, event.hash, now, cut=cut),
        )


def cut_before(moment: datetime) -> int:
    """Delete events older than `moment`, behind a signed checkpoint. Return how many went.

    The newest event always stays: without it there is nothing for the next one to chain to. Only
    what stands before the first event that is to be kept goes: a row that a wrong clock dated back
    takes nothing along, and one that it dated into the future holds nothing up.
    """
    with transaction.atomic():
        head = _locked_head()
        kept = Q(at__gte=moment, at__lte=timezone.now()) | Q(id=head.last_id)
        first = AuditEvent.objects.filter(kept).order_by("id").first()
        if first is None:
            return 0
        last = AuditEvent.objects.filter(id__lt=first.id).order_by("-id").first()
        if last is None:
            return 0
        seal(cut=True, event_id=last.id)
        deleted, _by_model = AuditEvent.objects.filter(id__lte=last.id).delete()
        return deleted


def verify() -> list[Fault]:
    """Walk the whole chain; return every fault, none when it holds.

    Checks each row's hash, each link, gaps, the head, and each checkpoint's signature. The oldest
    row that is left must follow from the newest cut, or from the beginning. What is written while
    it walks is left to the next time; where retention cuts meanwhile, it walks again.
    """
    while True:
        before = _newest_cut()
        faults = _walk()
        if not faults or _newest_cut() == before:
            return faults


def _newest_cut() -> int:
    found = AuditCheckpoint.objects.filter(cut=True).aggregate(newest=Max("event_id"))
    return int(found["newest"] or 0)


def _walk() -> list[Fault]:
    checkpoints, faults = _signed_checkpoints()
    # In this order: what is sealed or written after that was read cannot be missing from it.
    newest = int(AuditEvent.objects.aggregate(newest=Max("id"))["newest"] or 0)
    head = AuditHead.objects.filter(id=1).first() or AuditHead(last_hash=GENESIS)
    signed = {checkpoint.event_id: checkpoint.hash for checkpoint in checkpoints}
    cuts = [(checkpoint.event_id, checkpoint.hash) for checkpoint in checkpoints if checkpoint.cut]
    cut_id, expected = max(cuts, default=(0, GENESIS))
    last_id = cut_id
    for event in AuditEvent.objects.filter(id__lte=head.last_id).order_by("id").iterator():
        if event.id <= cut_id:
            faults.append(Fault(event.id, "a row stands before the cut"))
            continue
        if event.id != last_id + 1:
            faults.append(Fault(event.id, f"rows {last_id + 1} to {event.id - 1} are missing"))
        elif event.previous_hash != expected:
            faults.append(Fault(event.id, "the row does not follow from the one before it"))
        if digest(event) != event.hash:
            faults.append(Fault(event.id, "the row was changed"))
        if signed.get(event.id, event.hash) != event.hash:
            faults.append(Fault(event.id, "the row is not the one that was signed"))
        last_id, expected = event.id, event.hash
    if (head.last_id, head.last_hash) != (last_id, expected):
        faults.append(Fault(head.last_id, "the end of the chain is missing"))
    if newest > head.last_id:
        faults.append(Fault(newest, "rows stand behind the end of the chain"))
    faults += [
        Fault(event_id, "a signed row is missing") for event_id in signed if event_id > last_id
    ]
    return faults


def verify_seal(event_id: int, event_hash: str) -> list[Fault]:
    """Return a fault unless the chain holds what was once sealed, as a log elsewhere says.

    What retention has cut since is behind a checkpoint that is signed, and stands after it.
    """
    event = AuditEvent.objects.filter(id=event_id).first()
    if event is not None:
        return [] if event.hash == event_hash else [Fault(event_id, "is not what was sealed")]
    checkpoints, _faults = _signed_checkpoints()
    if any(found.cut and found.event_id >= event_id for found in checkpoints):
        return []
    return [Fault(event_id, "was sealed, and is missing")]


def _signed_checkpoints() -> tuple[list[AuditCheckpoint], list[Fault]]:
    genuine: list[AuditCheckpoint] = []
    faults: list[Fault] = []
    for checkpoint in AuditCheckpoint.objects.order_by("id").iterator():
        if _is_genuine(checkpoint):
            genuine.append(checkpoint)
        else:
            faults.append(Fault(checkpoint.event_id, "a checkpoint's signature is wrong"))
    return genuine, faults


def _locked_head() -> AuditHead:
    head, _created = AuditHead.objects.select_for_update().get_or_create(
        id=1, defaults={"last_hash": GENESIS}
    )
    return head


def _is_genuine(checkpoint: AuditCheckpoint) -> bool:
    """Whether the present key signed it, or one that it replaced."""
    facts = (checkpoint.event_id, checkpoint.hash, checkpoint.at)
    return any(
        hmac.compare_digest(_signature(key, *facts, cut=checkpoint.cut), checkpoint.signature)
        for key in (settings.AUDIT_KEY, *settings.AUDIT_KEY_FALLBACKS)
    )


def _signature(key: str, event_id: int, event_hash: str, at: datetime, *, cut: bool) -> str:
    # Derived, so that the key which signs sessions never signs anything else.
    derived = hmac.digest(key.encode(), _KEY_PURPOSE, "sha256")
    message = f"{event_id}:{event_hash}:{_instant(at)}:{int(cut)}"
    return hmac.new(derived, message.encode("ascii"), "sha256").hexdigest()


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
