"""The right of access: everything about a person in one ZIP, as JSON and CSV, streamed."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Q
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from PIL import Image

from accounts.audit.models import AuditEvent
from analyses import export, images, records
from analyses.models import Analysis, DeletionEvent, Review

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from accounts.models import User

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
    account = records.of_account(user)
    yield "README.txt", [_readme(user).encode()]
    yield "account.json", [_json(account)]
    yield "account.csv", _csv(records.PART, records.parts(account))
    analyses = map(records.of_analysis, records.with_related(own))
    yield "analyses.json", _json_list(analyses)
    yield "analyses.csv", (line.encode() for line in export.lines(own))
    yield from _twice(
        "lesions", records.LESION, lambda: map(records.of_lesion, user.lesions.iterator())
    )
    yield from _twice("answers", records.ANSWER, lambda: map(records.of_answer, answers.iterator()))
    yield from _twice("access", records.ACCESS, lambda: records.events_of(user, events))
    yield from _twice(
        "deletions", records.DELETION, lambda: map(records.of_deletion, deletions.iterator())
    )
    yield from _twice("reveals", records.REVEAL, lambda: records.reveals_of(user))
    yield from _twice(
        "written_answers", records.WRITTEN, lambda: map(records.of_written, written.iterator())
    )
    yield from _twice("second_factor_resets", records.RESET, lambda: records.resets_of(user))
    yield from _twice("admin_log", records.ADMIN_LOG, lambda: records.admin_log_of(user))
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
