"""What the archive tells of each kind of record: plain values under fixed names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.admin import models as admin
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q

from accounts.audit import reading
from accounts.audit.models import Action, AuditEvent
from accounts.care.models import CareRelationship, InvitationCode
from accounts.care.services import name_of
from accounts.models import Letter, Role, SecondFactorReset, User
from analyses.models import Reveal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from analyses.models import Analysis, DeletionEvent, Lesion, Result, Review

CHUNK: Final = 200


def of_account(user: User) -> dict[str, Any]:
    """Tell what belongs to the account, without what opens it."""
    shares = CareRelationship.objects.filter(patient=user).select_related("dermatologist")
    patients = CareRelationship.objects.filter(dermatologist=user)
    return {
        "id": user.pk,
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "active": user.is_active,
        "language": user.language,
        "joined": user.date_joined,
        "last_sign_in": user.last_login,
        "second_factor_since": user.second_factor_since,
        "hospital_sign_in_ended": user.hospital_ended_at,
        "addresses": list(
            EmailAddress.objects.filter(user=user).values("email", "verified", "primary")
        ),
        "consents": list(
            user.consents.values("kind", "wording_version", "given_at", "withdrawn_at")
        ),
        "api_tokens": list(
            user.api_tokens.values("created_at", "expires_at", "revoked_at", "last_used_at")
        ),
        "second_factors": [_factor(one) for one in Authenticator.objects.filter(user=user)],
        "linked_sign_ins": list(
            SocialAccount.objects.filter(user=user).values(
                "provider", "uid", "date_joined", "last_login"
            )
        ),
        "signed_in_at": list(
            UserSession.objects.filter(user=user).values(
                "created_at", "last_seen_at", "ip", "user_agent"
            )
        ),
        "letters_waiting": list(
            Letter.objects.filter(user=user).values("written_at", "claimed_at")
        ),
        "shares": [
            {
                "id": share.pk,
                "with": name_of(share.dermatologist),
                "scope": share.scope,
                "wording_version": share.wording_version,
                "consented_at": share.consented_at,
                "revoked_at": share.revoked_at,
            }
            for share in shares
        ],
        # Of the patients only when: their names and records are theirs.
        "shared_with_you": list(
            patients.values("id", "scope", "wording_version", "consented_at", "revoked_at")
        ),
        # Never the code: who has it can be shared with under this name.
        "invitation_codes": list(
            InvitationCode.objects.filter(dermatologist=user).values("renewed_at")
        ),
    }


PART: Final = ("part", "number", "field", "value")


def parts(account: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one line for each value; those of one entry of a list share its number, from 1."""
    for name, value in account.items():
        if not isinstance(value, list):
            yield dict(zip(PART, ("account", "", name, value), strict=True))
            continue
        for number, entry in enumerate(value, start=1):
            for field, cell in entry.items():
                yield dict(zip(PART, (name, number, field, cell), strict=True))


def _factor(authenticator: Authenticator) -> dict[str, Any]:
    """Describe what opens the account beside the password, without what it opens it with."""
    is_passkey = authenticator.type == Authenticator.Type.WEBAUTHN
    return {
        "kind": authenticator.type,
        "name": authenticator.wrap().name if is_passkey else "",
        "created_at": authenticator.created_at,
        "last_used_at": authenticator.last_used_at,
    }


def with_related(own: Any) -> Iterator[Analysis]:
    """Yield the analyses of a query with what `of_analysis` reads of each, `CHUNK` at a time."""
    related = own.select_related("result", "lesion").prefetch_related("reviews")
    found: Iterator[Analysis] = related.iterator(chunk_size=CHUNK)
    return found


LESION: Final = ("id", "name", "body_site", "created_at")


def of_lesion(lesion: Lesion) -> dict[str, Any]:
    """Tell of a lesion that the person follows."""
    return {
        "id": lesion.pk,
        "name": lesion.name,
        "body_site": lesion.body_site,
        "created_at": lesion.created_at,
    }


def of_analysis(analysis: Analysis) -> dict[str, Any]:
    """Tell of an analysis, with the model's result and the answers to it."""
    plain = {
        name: getattr(analysis, name)
        for name in (
            "id", "lesion_id", "body_site", "image_type", "sha256", "source_format", "width",
            "height", "idempotency_key", "status", "stage", "error_code", "quality", "attempts",
            "uncounted_attempts", "created_at", "enqueued_at", "claimed_at", "completed_at",
            "hold_kind", "hold_consented_at", "hold_wording_version", "held_until",
            "image_purged_at",
        )
    }  # fmt: skip
    plain["result"] = _result(analysis.result) if analysis.result else None
    plain["answers"] = [of_answer(review) for review in analysis.reviews.all()]
    return plain


ANSWER: Final = (
    "id", "analysis", "at", "by", "opinion", "advice", "note", "model_category", "blind",
    "saw_photo", "replaces", "notified_at",
)  # fmt: skip


def of_answer(review: Review) -> dict[str, Any]:
    """Tell of one version of an answer, as its patient may read it."""
    return {
        "id": review.pk,
        "analysis": str(review.analysis_id),
        "at": review.created_at,
        "by": review.author_name,
        "opinion": review.opinion,
        "advice": review.advice,
        "note": review.note,
        "model_category": review.model_category,
        "blind": review.blind,
        "saw_photo": review.saw_photo,
        "replaces": review.supersedes_id,
        "notified_at": review.notified_at,
    }


WRITTEN: Final = tuple(name for name in ANSWER if name != "model_category")


def of_written(review: Review) -> dict[str, Any]:
    """Tell authors what is theirs. What the model had said of the photo is the patient's."""
    answer = of_answer(review)
    return {name: answer[name] for name in WRITTEN}


DELETION: Final = ("analysis", "at", "reason", "size_bytes")


def of_deletion(event: DeletionEvent) -> dict[str, Any]:
    """Tell when and why a photo was deleted."""
    return {
        "analysis": str(event.analysis_id),
        "at": event.at,
        "reason": event.reason,
        "size_bytes": event.size_bytes,
    }


REVEAL: Final = ("analysis", "at", "by", "by_you")


def reveals_of(user: User) -> Iterator[dict[str, Any]]:
    """Yield those of the person's analyses and those that the person asked for."""
    concerned = Reveal.objects.filter(Q(analysis__owner=user) | Q(user=user))
    for reveal in concerned.select_related("user").order_by("at", "id").iterator():
        yield {
            "analysis": str(reveal.analysis_id),
            "at": reveal.at,
            "by": name_of(reveal.user),
            "by_you": reveal.user_id == user.pk,
        }


RESET: Final = (
    "about_you", "asked_at", "asked_by", "asked_by_you", "done_at", "done_by", "done_by_you",
)  # fmt: skip


def resets_of(user: User) -> Iterator[dict[str, Any]]:
    """Yield the requests that concern the person; of another account only that there was one."""
    concerned = SecondFactorReset.objects.filter(Q(user=user) | Q(asked_by=user) | Q(done_by=user))
    for reset in concerned.select_related("asked_by", "done_by").order_by("asked_at", "id"):
        about_you = reset.user_id == user.pk
        yield {
            "about_you": about_you,
            "asked_at": reset.asked_at,
            "asked_by": _name(reset.asked_by, to=user, about_you=about_you),
            "asked_by_you": reset.asked_by_id == user.pk,
            "done_at": reset.done_at,
            "done_by": _name(reset.done_by, to=user, about_you=about_you),
            "done_by_you": reset.done_by_id == user.pk,
        }


ADMIN_LOG: Final = (
    "at", "about_you", "by", "by_you", "action", "object", "object_id", "called", "changes",
)  # fmt: skip
FLAGS: Final = {admin.ADDITION: "addition", admin.CHANGE: "change", admin.DELETION: "deletion"}


def admin_log_of(user: User) -> Iterator[dict[str, Any]]:
    """Yield the admin's own log of the person's account, and what the person did there.

    It calls accounts by their address, and its messages may: of others neither is told.
    """
    people = ContentType.objects.get_for_model(User)
    account = Q(content_type=people, object_id=str(user.pk))
    concerned = admin.LogEntry.objects.filter(Q(user=user) | account)
    related = concerned.select_related("user", "content_type").order_by("action_time", "id")
    for entry in related.iterator():
        about_you = entry.content_type_id == people.pk and entry.object_id == str(user.pk)
        yield {
            "at": entry.action_time,
            "about_you": about_you,
            "by": _name(entry.user, to=user, about_you=about_you),
            "by_you": entry.user_id == user.pk,
            "action": FLAGS.get(entry.action_flag, str(entry.action_flag)),
            "object": entry.content_type.model if entry.content_type else "",
            "object_id": entry.object_id or "",
            "called": entry.object_repr if about_you else "",
            "changes": entry.change_message if about_you else _fields(entry.change_message),
        }


def _fields(message: str) -> str:
    """Return the names of the fields in the admin's message, comma-separated, without the rest."""
    try:
        parts = json.loads(message)
        return ", ".join(
            str(field)
            for part in parts
            for what in part.values()
            for field in what.get("fields", ())
        )
    except (ValueError, AttributeError, TypeError):
        return ""


def _name(person: User | None, *, to: User, about_you: bool) -> str:
    """Name whoever acted on the account of `to`, and `to`; nobody else."""
    return name_of(person) if person and (about_you or person == to) else ""


def _result(result: Result) -> dict[str, Any]:
    return {
        name: getattr(result, name)
        for name in (
            "category", "decided", "confidence", "gate", "threshold", "p_malignant", "p_melanoma",
            "probabilities", "members", "votes", "outline", "measurements", "heatmap", "timings",
            "bundle_name", "bundle_version", "bundle_sha256", "created_at",
        )
    }  # fmt: skip


ACCESS: Final = ("at", "action", "by", "by_you", "about_you", "role", "object", "object_id")


def events_of(user: User, events: Any) -> Iterator[dict[str, Any]]:
    """Yield the entries of the trail that `events` finds, as `user` may read them."""
    batch: list[AuditEvent] = []
    for event in events.iterator(chunk_size=CHUNK):
        batch.append(event)
        if len(batch) == CHUNK:
            yield from _named(user, batch)
            batch = []
    yield from _named(user, batch)


def _named(user: User, events: Sequence[AuditEvent]) -> Iterator[dict[str, Any]]:
    for line in reading.lines(events):
        event = line.event
        yield {
            "at": event.at,
            "action": event.action,
            "by": line.actor if _may_be_named(user, event) else "",
            "by_you": event.actor_id == user.pk,
            "about_you": event.subject_id == user.pk,
            "role": event.actor_role,
            "object": event.object_type,
            "object_id": event.object_id,
            "details": event.details,  # codes and counts: the trail takes nothing else
        }


def _may_be_named(user: User, event: AuditEvent) -> bool:
    """Whether the person learns who did it: themselves, staff, and whoever saw the record.

    Who asked for something and was refused is a stranger, who has a right of their own not to be
    made known; the role is told, and an administrator can look.
    """
    if event.actor_id == user.pk or event.action in reading.OPENINGS:
        return True
    return event.action != Action.DENIED and event.actor_role != Role.PATIENT
