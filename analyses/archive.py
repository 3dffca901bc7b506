"""The right of access: everything about a person in one ZIP, as JSON and CSV, streamed."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any, Final

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Q
from django.template.loader import render_to_string
from django.utils import timezone, translation
from PIL import Image

from accounts.audit import reading
from accounts.audit.models import Action, AuditEvent
from accounts.care.models import CareRelationship
from accounts.care.services import name_of
from accounts.models import Role
from analyses import export, images
from analyses.models import Analysis, DeletionEvent, Lesion, Review

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from accounts.models import User
    from analyses.models import Result

CHUNK: Final = 200


class _Sink(io.RawIOBase):
    """Takes what the ZIP writer writes. It cannot seek, so nothing is held back but one chunk."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, data: Any) -> int:
        """Keep `data` until it is drained."""
        self._parts.append(bytes(data))
        return len(data)

    def drain(self) -> bytes:
        """Return what came since the last call."""
        body = b"".join(self._parts)
        self._parts.clear()
        return body


def archive(user: User) -> Iterator[bytes]:
    """Yield the ZIP of everything about `user`, piece by piece."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as bundle:
        made = timezone.localtime().timetuple()[:6]
        for name, pieces in _files(user):
            entry = zipfile.ZipInfo(name, date_time=made)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with bundle.open(entry, "w") as file:
                for piece in pieces:
                    file.write(piece)
                    yield sink.drain()
            yield sink.drain()
    yield sink.drain()


def _files(user: User) -> Iterator[tuple[str, Iterable[bytes]]]:
    own = Analysis.objects.filter(owner=user).order_by("created_at", "id")
    events = AuditEvent.objects.filter(Q(subject_id=user.pk) | Q(actor_id=user.pk)).order_by("id")
    deletions = DeletionEvent.objects.filter(analysis__owner=user)
    answers = Review.objects.filter(analysis__owner=user).order_by("created_at", "id")
    yield "README.txt", [_readme(user).encode()]
    yield "account.json", [_json(_account(user))]
    yield "analyses.json", _json_list(_analysis(analysis) for analysis in _full(own))
    yield "analyses.csv", (line.encode() for line in export.lines(own))
    yield from _twice("lesions", LESION, lambda: map(_lesion, user.lesions.iterator()))
    yield from _twice("answers", ANSWER, lambda: map(_answer, answers.iterator()))
    yield from _twice("access", ACCESS, lambda: _events(user, events))
    yield from _twice("deletions", DELETION, lambda: map(_deletion, deletions.iterator()))
    for analysis in own.filter(image_key__isnull=False):
        if (png := _photo(analysis)) is not None:
            yield f"photos/{analysis.pk}.png", [png]


def _twice(
    name: str, columns: Sequence[str], rows: Callable[[], Iterable[dict[str, Any]]]
) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Yield one kind of record as JSON and as CSV, whose cells a spreadsheet does not run."""
    yield f"{name}.json", _json_list(rows())
    yield f"{name}.csv", _csv(columns, rows())


def _readme(user: User) -> str:
    with translation.override(user.language or settings.LANGUAGE_CODE):
        return render_to_string("analyses/archive/readme.txt")


def _account(user: User) -> dict[str, Any]:
    shares = CareRelationship.objects.filter(patient=user).select_related("dermatologist")
    patients = CareRelationship.objects.filter(dermatologist=user)
    return {
        "id": user.pk,
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "language": user.language,
        "joined": user.date_joined,
        "last_sign_in": user.last_login,
        "second_factor_since": user.second_factor_since,
        "consents": list(
            user.consents.values("kind", "wording_version", "given_at", "withdrawn_at")
        ),
        "api_tokens": list(
            user.api_tokens.values("created_at", "expires_at", "revoked_at", "last_used_at")
        ),
        "second_factors": [_factor(one) for one in Authenticator.objects.filter(user=user)],
        "linked_sign_ins": list(
            SocialAccount.objects.filter(user=user).values("provider", "date_joined", "last_login")
        ),
        "hospital_sign_in_ended": user.hospital_ended_at,
        "signed_in_at": list(
            UserSession.objects.filter(user=user).values(
                "created_at", "last_seen_at", "ip", "user_agent"
            )
        ),
        "shares": [
            {
                "with": name_of(share.dermatologist),
                "scope": share.scope,
                "wording_version": share.wording_version,
                "consented_at": share.consented_at,
                "revoked_at": share.revoked_at,
            }
            for share in shares
        ],
        # Of the patients only when: their names and records are theirs.
        "shared_with_you": list(patients.values("scope", "consented_at", "revoked_at")),
        "answers_you_wrote": list(
            Review.objects.filter(author=user).values("id", "analysis_id", "created_at")
        ),
    }


def _factor(authenticator: Authenticator) -> dict[str, Any]:
    """Describe what opens the account beside the password, without what it opens it with."""
    is_passkey = authenticator.type == Authenticator.Type.WEBAUTHN
    return {
        "kind": authenticator.type,
        "name": authenticator.wrap().name if is_passkey else "",
        "created_at": authenticator.created_at,
        "last_used_at": authenticator.last_used_at,
    }


def _full(own: Any) -> Iterator[Analysis]:
    related = own.select_related("result", "lesion").prefetch_related("reviews")
    found: Iterator[Analysis] = related.iterator(chunk_size=CHUNK)
    return found


LESION: Final = ("id", "name", "body_site", "created_at")


def _lesion(lesion: Lesion) -> dict[str, Any]:
    return {
        "id": lesion.pk,
        "name": lesion.name,
        "body_site": lesion.body_site,
        "created_at": lesion.created_at,
    }


def _analysis(analysis: Analysis) -> dict[str, Any]:
    plain = {
        name: getattr(analysis, name)
        for name in (
            "id", "lesion_id", "body_site", "image_type", "sha256", "source_format", "width",
            "height", "status", "error_code", "quality", "created_at", "completed_at", "hold_kind",
            "hold_consented_at", "hold_wording_version", "held_until", "image_purged_at",
        )
    }  # fmt: skip
    plain["result"] = _result(analysis.result) if analysis.result else None
    plain["answers"] = [_answer(review) for review in analysis.reviews.all()]
    return plain


ANSWER: Final = (
    "analysis", "at", "by", "opinion", "advice", "note", "blind", "replaces_an_earlier_one",
)  # fmt: skip


def _answer(review: Review) -> dict[str, Any]:
    return {
        "analysis": str(review.analysis_id),
        "at": review.created_at,
        "by": review.author_name,
        "opinion": review.opinion,
        "advice": review.advice,
        "note": review.note,
        "blind": review.blind,
        "replaces_an_earlier_one": review.supersedes_id is not None,
    }


DELETION: Final = ("analysis", "at", "reason")


def _deletion(event: DeletionEvent) -> dict[str, Any]:
    return {"analysis": str(event.analysis_id), "at": event.at, "reason": event.reason}


def _result(result: Result) -> dict[str, Any]:
    return {
        name: getattr(result, name)
        for name in (
            "category", "decided", "confidence", "gate", "threshold", "p_malignant", "p_melanoma",
            "probabilities", "members", "votes", "outline", "measurements", "heatmap", "timings",
            "bundle_name", "bundle_version", "bundle_sha256", "created_at",
        )
    }  # fmt: skip


ACCESS: Final = ("at", "action", "by", "by_you", "role", "object", "object_id")


def _events(user: User, events: Any) -> Iterator[dict[str, Any]]:
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


def _photo(analysis: Analysis) -> bytes | None:
    try:
        pixels = images.read(analysis)
    except images.ImageUnavailableError:
        return None
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG", compress_level=1)
    return out.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False).encode()


def _json_list(items: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    before = b"[\n"
    for item in items:
        yield before + _json(item)
        before = b",\n"
    yield (b"[" if before == b"[\n" else b"\n") + b"]\n"


def _csv(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([export.escaped(row[column]) for column in columns])
        yield line.getvalue().encode()
        line.seek(0)
        line.truncate()
    yield line.getvalue().encode()
