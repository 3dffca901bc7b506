"""The right of access: everything about a person in one ZIP, as JSON and CSV, streamed."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any, Final

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.admin import models as admin
from django.contrib.contenttypes.models import ContentType
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Q
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from PIL import Image

from accounts.audit import reading
from accounts.audit.models import Action, AuditEvent
from accounts.care.models import CareRelationship, InvitationCode
from accounts.care.services import name_of
from accounts.models import Letter, Role, SecondFactorReset, User
from analyses import export, images
from analyses.models import Analysis, DeletionEvent, Lesion, Reveal, Review

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from analyses.models import Result

CHUNK: Final = 200
# What README.txt says of each kind of record, in the order in which they follow.
EXPLAINED: Final = {
    "account": gettext_lazy(
        "Your account, consents, second factors and API tokens (never their secrets), "
        "and who you share with."
    ),
    "lesions": gettext_lazy("The lesions that you follow."),
    "analyses": gettext_lazy("Every analysis, with the model's result."),
    "answers": gettext_lazy("What dermatologists answered you."),
    "access": gettext_lazy(
        "What was done in your account and with your record, by whom, and when. Who was refused is "
        "not named: an administrator can look it up."
    ),
    "deletions": gettext_lazy("When each photo was deleted."),
    "reveals": gettext_lazy(
        "When a dermatologist looked at the model's result before answering: of your photos, or "
        "you of a patient's."
    ),
    "written_answers": gettext_lazy("What you answered patients, as a dermatologist."),
    "second_factor_resets": gettext_lazy(
        "Requests to remove your second factor, and those that you made or confirmed for others, "
        "who are not named."
    ),
    "admin_log": gettext_lazy(
        "What was changed on the administrators' pages: in your account, or by you. Other people's "
        "accounts are not named."
    ),
}


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
    written = Review.objects.filter(author=user).order_by("created_at", "id")
    account = _account(user)
    yield "README.txt", [_readme(user).encode()]
    yield "account.json", [_json(account)]
    yield "account.csv", _csv(PART, _parts(account))
    yield "analyses.json", _json_list(_analysis(analysis) for analysis in _full(own))
    yield "analyses.csv", (line.encode() for line in export.lines(own))
    yield from _twice("lesions", LESION, lambda: map(_lesion, user.lesions.iterator()))
    yield from _twice("answers", ANSWER, lambda: map(_answer, answers.iterator()))
    yield from _twice("access", ACCESS, lambda: _events(user, events))
    yield from _twice("deletions", DELETION, lambda: map(_deletion, deletions.iterator()))
    yield from _twice("reveals", REVEAL, lambda: _reveals(user))
    yield from _twice("written_answers", WRITTEN, lambda: map(_written, written.iterator()))
    yield from _twice("second_factor_resets", RESET, lambda: _resets(user))
    yield from _twice("admin_log", ADMIN_LOG, lambda: _admin_log(user))
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
        beginning = _(
            "Everything that DermAI keeps about you. Each .csv holds the same as the .json beside "
            "it, in short, for a spreadsheet."
        )
        files = {f"{name}.json, {name}.csv": words for name, words in EXPLAINED.items()}
        files["photos/"] = gettext_lazy("Photos that are kept at this moment, if any.")
        research = _("For research use only. This is not a medical device.")
        doctor = _("If a mole is new or changing, see a doctor.")
        explained = [f"{name}\n    {words}" for name, words in files.items()]
    return "\n\n".join([beginning, *explained, f"{research} {doctor}"]) + "\n"


def _account(user: User) -> dict[str, Any]:
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


def _parts(account: dict[str, Any]) -> Iterator[dict[str, Any]]:
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
            "height", "idempotency_key", "status", "stage", "error_code", "quality", "attempts",
            "uncounted_attempts", "created_at", "enqueued_at", "claimed_at", "completed_at",
            "hold_kind", "hold_consented_at", "hold_wording_version", "held_until",
            "image_purged_at",
        )
    }  # fmt: skip
    plain["result"] = _result(analysis.result) if analysis.result else None
    plain["answers"] = [_answer(review) for review in analysis.reviews.all()]
    return plain


ANSWER: Final = (
    "id", "analysis", "at", "by", "opinion", "advice", "note", "model_category", "blind",
    "saw_photo", "replaces", "notified_at",
)  # fmt: skip


def _answer(review: Review) -> dict[str, Any]:
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


def _written(review: Review) -> dict[str, Any]:
    """Tell authors what is theirs. What the model had said of the photo is the patient's."""
    answer = _answer(review)
    return {name: answer[name] for name in WRITTEN}


DELETION: Final = ("analysis", "at", "reason", "size_bytes")


def _deletion(event: DeletionEvent) -> dict[str, Any]:
    return {
        "analysis": str(event.analysis_id),
        "at": event.at,
        "reason": event.reason,
        "size_bytes": event.size_bytes,
    }


REVEAL: Final = ("analysis", "at", "by", "by_you")


def _reveals(user: User) -> Iterator[dict[str, Any]]:
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


def _resets(user: User) -> Iterator[dict[str, Any]]:
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


def _admin_log(user: User) -> Iterator[dict[str, Any]]:
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
