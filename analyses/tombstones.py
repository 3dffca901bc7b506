"""Remember what was erased, in the table and in a file apart from the database.

A backup of the database is older than the erasures after it, and so is the table in it. The file
`ERASURE_LOG` outlives a restore: `manage.py replay_erasures` reads both and erases again.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.db import transaction

from analyses.models import Tombstone

if TYPE_CHECKING:
    import uuid
    from pathlib import Path

PRIVATE: Final = 0o600


class TombstoneFileError(ValueError):
    """A line of the file is no tombstone; the message names file, line and remedy."""


def bury(kind: Tombstone.Kind, record_id: uuid.UUID) -> Tombstone:
    """Remember that a record is erased, in the transaction that erases it."""
    stone, _created = Tombstone.objects.get_or_create(
        kind=kind, digest=Tombstone.digest_of(record_id)
    )
    transaction.on_commit(lambda: _append(stone), robust=True)
    return stone


def missing_in_file() -> list[Tombstone]:
    """Return those of the table that the file lacks."""
    written = {(stone.kind, stone.digest) for stone in read(settings.ERASURE_LOG)}
    return [s for s in Tombstone.objects.all() if (s.kind, s.digest) not in written]


def complete_file() -> int:
    """Write what the file lacks; return how many."""
    missing = missing_in_file()
    for stone in missing:
        _append(stone)
    return len(missing)


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
