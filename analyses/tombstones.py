"""Remember what was erased, in the table and in a file apart from the database.

A backup of the database is older than the erasures after it, and so is the table in it. The file
`ERASURE_LOG` outlives a restore: `manage.py replay_erasures` reads both and erases again.

Each host has a file of its own, so a tombstone is safe once it stands in one of them: the row says
when that was. What a host could not write, `reconcile` writes to the file of the host it runs on.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.care.models import CareRelationship
from accounts.models import Consent, User
from analyses.models import Analysis, Lesion, Tombstone

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from django.db.models import QuerySet

PRIVATE: Final = 0o600


class TombstoneFileError(ValueError):
    """A line of the file is no tombstone; the message names file, line and remedy."""


def bury(
    kind: Tombstone.Kind, record_id: uuid.UUID, *, given_at: datetime | None = None
) -> Tombstone:
    """Remember that a record is erased, in the transaction that erases it.

    A consent is named by its person's id and `given_at`.
    """
    stone, _created = Tombstone.objects.get_or_create(
        kind=kind, digest=Tombstone.digest_of(record_id, given_at)
    )
    transaction.on_commit(lambda: _file(stone), robust=True)
    return stone


def unfiled() -> QuerySet[Tombstone]:
    """Return those that stand in no host's file."""
    return Tombstone.objects.filter(filed_at__isnull=True)


def file_what_waits() -> int:
    """Write those that stand in no host's file to this host's; return how many."""
    waiting = list(unfiled())
    if not waiting:
        return 0
    # Without `filed_at`, as after an upgrade or a crash between the two, it may stand there.
    written = _written()
    for stone in waiting:
        _file(stone, write=(stone.kind, stone.digest) not in written)
    return len(waiting)


def missing_in_file() -> list[Tombstone]:
    """Return those of the table that this host's file lacks, whichever host wrote them."""
    written = _written()
    return [s for s in Tombstone.objects.all() if (s.kind, s.digest) not in written]


def complete_file() -> int:
    """Write all that this host's file lacks, as when it was lost; return how many."""
    missing = missing_in_file()
    for stone in missing:
        _file(stone)
    return len(missing)


def still_there() -> dict[str, int]:
    """Return, by kind, how many records there are that a tombstone names, as after a restore.

    The tombstones are those of the table and of this host's file. They are read first: what is
    erased meanwhile does not count. Raises `TombstoneFileError`.
    """
    known = {*Tombstone.objects.values_list("kind", "digest"), *_written()}
    return {kind: sum(1 for _ in named(kind, known)) for kind in Tombstone.Kind}


def named(kind: Tombstone.Kind, known: Iterable[tuple[str, str]]) -> Iterator[tuple[Any, ...]]:
    """Yield the live records of `kind` that one of `known`, kinds and digests, names.

    Each as its tombstone was made of it: an id, of a consent its person's id and `given_at`.
    """
    digests = {digest for other, digest in known if other == kind}
    if digests:
        for record in _living(kind).iterator():
            if Tombstone.digest_of(*record) in digests:
                yield record


def _living(kind: Tombstone.Kind) -> QuerySet[Any, Any]:
    match kind:
        case Tombstone.Kind.ACCOUNT:
            return User.objects.values_list("pk")
        case Tombstone.Kind.LESION:
            return Lesion.objects.values_list("pk")
        case Tombstone.Kind.ANALYSIS:
            return Analysis.objects.values_list("pk")
        case Tombstone.Kind.SHARING:
            return CareRelationship.objects.filter(revoked_at=None).values_list("pk")
        case Tombstone.Kind.CONSENT:
            return Consent.objects.filter(withdrawn_at=None).values_list("user", "given_at")


def read(path: Path) -> list[Tombstone]:
    """Return the tombstones of a file, unsaved; none where there is no file.

    Raises `TombstoneFileError`.
    """
    if not path.exists():
        return []
    stones = []
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            stones.append(
                Tombstone(
                    kind=Tombstone.Kind(entry["kind"]),
                    digest=str(entry["digest"]),
                    at=datetime.fromisoformat(entry["at"]),
                )
            )
        except (ValueError, KeyError, TypeError) as error:
            raise TombstoneFileError(
                f"{path}, line {number}, is no tombstone. Mend or remove that line and run again."
            ) from error
    return stones


def _written() -> set[tuple[str, str]]:
    return {(stone.kind, stone.digest) for stone in read(settings.ERASURE_LOG)}


def _file(stone: Tombstone, *, write: bool = True) -> None:
    if write:
        _append(stone)
    Tombstone.objects.filter(pk=stone.pk).update(filed_at=timezone.now())


def _append(stone: Tombstone) -> None:
    line = json.dumps(
        {"kind": stone.kind, "digest": stone.digest, "at": stone.at.isoformat()}, sort_keys=True
    )
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    descriptor = os.open(settings.ERASURE_LOG, flags, PRIVATE)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{line}\n")
        file.flush()
        os.fsync(file.fileno())
