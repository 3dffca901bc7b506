"""The private store of encrypted pictures in flight: no address leads to it.

Names are the analyses' own UUIDs, made by the server; nothing of the upload's name is kept.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn

from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage, storages

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIX: Final = ".sealed"
DRAFT_SUFFIX: Final = ".part"
ALIAS: Final = "images"
PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700


class NoPublicAddressError(NotImplementedError):
    """Somebody asked for the address of a picture; there is none."""


class PrivateFileSystemStorage(FileSystemStorage):
    """A folder that only this account reads; a file is there whole or not at all."""

    def __init__(self, location: str | os.PathLike[str]) -> None:
        super().__init__(
            location=str(location),
            file_permissions_mode=PRIVATE_FILE,
            directory_permissions_mode=PRIVATE_FOLDER,
        )

    def url(self, name: str | None) -> NoReturn:  # noqa: ARG002 - Django's signature
        """Refuse: pictures stream only through an authorised view."""
        raise NoPublicAddressError("Pictures have no address; use an authorised view.")

    def _save(self, name: str, content: IO[Any]) -> str:
        target = Path(self.path(name))
        target.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        draft = target.with_name(f"{target.name}.{secrets.token_hex(4)}{DRAFT_SUFFIX}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
            with os.fdopen(descriptor, "wb") as file:
                for chunk in content.chunks() if hasattr(content, "chunks") else content:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(target)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        return name


def put(image_id: uuid.UUID, body: bytes) -> None:
    """Store the encrypted `body`. Raises `OSError` with nothing stored."""
    _store().save(_name(image_id), ContentFile(body))


def get(image_id: uuid.UUID) -> bytes:
    """Return the encrypted body. Raises `OSError`, `FileNotFoundError` where there is none."""
    with _store().open(_name(image_id)) as file:
        return bytes(file.read())


def size(image_id: uuid.UUID) -> int:
    """Return the size in bytes, 0 where there is none."""
    try:
        return _store().size(_name(image_id))
    except FileNotFoundError:
        return 0


def delete(image_id: uuid.UUID) -> None:
    """Delete it; deleting what is gone is no error."""
    _store().delete(_name(image_id))


def stored() -> Iterator[tuple[uuid.UUID, datetime]]:
    """Yield each stored picture's id and when it was written."""
    store = _store()
    for name in _names(store):
        if name.endswith(SUFFIX):
            with contextlib.suppress(ValueError, FileNotFoundError):
                written = store.get_modified_time(name)
                yield uuid.UUID(name.removesuffix(SUFFIX)), written


def delete_drafts(*, older_than: datetime) -> int:
    """Delete halves that a killed process left; returns how many."""
    store = _store()
    deleted = 0
    for name in _drafts(store, older_than):
        store.delete(name)
        deleted += 1
    return deleted


def count_drafts(*, older_than: datetime) -> int:
    """Return how many halves there are that no running process can still be writing."""
    return sum(1 for _ in _drafts(_store(), older_than))


def _drafts(store: Storage, older_than: datetime) -> Iterator[str]:
    for name in _names(store):
        if name.endswith(DRAFT_SUFFIX):
            with contextlib.suppress(FileNotFoundError):
                if store.get_modified_time(name).astimezone(UTC) < older_than:
                    yield name


def _names(store: Storage) -> list[str]:
    try:
        return store.listdir("")[1]
    except FileNotFoundError:
        return []


def _store() -> Storage:
    return storages[ALIAS]


def _name(image_id: uuid.UUID) -> str:
    return f"{image_id}{SUFFIX}"
