"""Pictures at rest: encrypted, private, without an address."""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.storage import storages
from django.utils import timezone

from analyses import storage
from analyses.crypto import Keyring, KeyUnavailableError, Sealed, WeakMasterKeyError

OLD, NEW, OTHER = "0" * 40, "1" * 40, "2" * 40
ID = uuid.UUID(int=7)
SECRET = b"the pixels of somebody's skin" * 40

pytestmark = pytest.mark.usefixtures("image_store")


def test_what_is_sealed_opens_and_reads_as_noise() -> None:
    sealed = Keyring([OLD]).seal(SECRET, owner_id=ID)
    assert SECRET[:16] not in sealed.body
    assert Keyring([OLD]).open(sealed, owner_id=ID) == SECRET


def test_each_picture_has_a_key_of_its_own() -> None:
    first, second = (Keyring([OLD]).seal(SECRET, owner_id=ID) for _ in range(2))
    mixed = Sealed(body=first.body, wrapped_key=second.wrapped_key)
    with pytest.raises(KeyUnavailableError):
        Keyring([OLD]).open(mixed, owner_id=ID)


def test_master_keys_rotate() -> None:
    before = Keyring([OLD]).seal(SECRET, owner_id=ID)
    during = Keyring([NEW, OLD])
    assert during.open(before, owner_id=ID) == SECRET
    after = during.seal(SECRET, owner_id=ID)
    assert Keyring([NEW]).open(after, owner_id=ID) == SECRET
    with pytest.raises(KeyUnavailableError):
        Keyring([NEW]).open(before, owner_id=ID)
    with pytest.raises(KeyUnavailableError):
        Keyring([OTHER]).open(after, owner_id=ID)


def test_a_picture_opens_for_its_own_analysis_only() -> None:
    sealed = Keyring([OLD]).seal(SECRET, owner_id=ID)
    with pytest.raises(KeyUnavailableError):
        Keyring([OLD]).open(sealed, owner_id=uuid.UUID(int=8))


@pytest.mark.parametrize("keys", [[], ["short"], [OLD, ""]])
def test_a_weak_master_key_is_refused(keys: list[str]) -> None:
    with pytest.raises(WeakMasterKeyError, match="openssl rand"):
        Keyring(keys)


def test_the_store_has_no_addresses() -> None:
    with pytest.raises(storage.NoPublicAddressError):
        storages["images"].url("anything")


def test_stored_bytes_come_back_from_a_private_file(image_store: Path) -> None:
    storage.put(ID, b"sealed")
    (file,) = image_store.iterdir()
    assert file.name == f"{ID}.sealed"
    assert file.stat().st_mode & 0o777 == 0o600
    assert (storage.get(ID), storage.size(ID)) == (b"sealed", 6)
    assert [image_id for image_id, _ in storage.stored()] == [ID]


def test_deleting_twice_is_no_error() -> None:
    storage.put(ID, b"sealed")
    storage.delete(ID)
    storage.delete(ID)
    assert storage.size(ID) == 0
    with pytest.raises(FileNotFoundError):
        storage.get(ID)


def test_halves_of_killed_uploads_are_deleted_once_they_are_old(image_store: Path) -> None:
    (image_store / f"{ID}.sealed.ab12.part").write_bytes(b"half")
    assert storage.delete_drafts(older_than=timezone.now() - timedelta(hours=1)) == 0
    assert list(storage.stored()) == []
    assert storage.delete_drafts(older_than=timezone.now() + timedelta(hours=1)) == 1
    assert not list(image_store.iterdir())


def test_a_store_that_does_not_exist_yet_is_empty(image_store: Path) -> None:
    image_store.rmdir()
    assert list(storage.stored()) == []
