"""Encrypt each picture with a key of its own, and wrap that key by a master key.

AES-256-GCM throughout (NIST SP 800-38D). The analysis' id is bound in as associated data, so that
a file or a key of one analysis opens nothing of another. Master keys are a list, newest first: the
first wraps, any unwraps. To rotate, put a new one in front and drop the old one once the longest
review hold has passed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    import uuid
    from collections.abc import Sequence

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
MIN_MASTER_KEY_LENGTH: Final = 32
_PURPOSE: Final = b"dermai: wrap the keys of images"


class KeyUnavailableError(Exception):
    """No master key at hand opens this: it was dropped too early, or the bytes were changed."""


class WeakMasterKeyError(ValueError):
    """A master key is missing or too short to be random."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted picture: `body` goes to the store, `wrapped_key` to the row."""

    body: bytes
    wrapped_key: bytes


class Keyring:
    """The master keys, newest first."""

    def __init__(self, master_keys: Sequence[str]) -> None:
        if not master_keys or any(len(key) < MIN_MASTER_KEY_LENGTH for key in master_keys):
            raise WeakMasterKeyError(
                f"IMAGE_MASTER_KEYS needs at least one key of {MIN_MASTER_KEY_LENGTH} characters "
                "or more, each random, for example from `openssl rand -hex 32`."
            )
        self._wrapping = [AESGCM(_derive(key)) for key in master_keys]

    def seal(self, content: bytes, *, owner_id: uuid.UUID) -> Sealed:
        """Encrypt `content` under a fresh key, bound to `owner_id`."""
        key = os.urandom(KEY_BYTES)
        return Sealed(
            body=_encrypt(AESGCM(key), content, owner_id),
            wrapped_key=_encrypt(self._wrapping[0], key, owner_id),
        )

    def open(self, sealed: Sealed, *, owner_id: uuid.UUID) -> bytes:
        """Undo `seal` with any of the master keys. Raises `KeyUnavailableError`."""
        for wrapping in self._wrapping:
            try:
                key = _decrypt(wrapping, sealed.wrapped_key, owner_id)
            except InvalidTag:
                continue
            try:
                return _decrypt(AESGCM(key), sealed.body, owner_id)
            except InvalidTag as error:
                raise KeyUnavailableError("the stored bytes were changed") from error
        raise KeyUnavailableError("none of IMAGE_MASTER_KEYS wraps this picture's key")


def _derive(master_key: str) -> bytes:
    kdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=_PURPOSE)
    return kdf.derive(master_key.encode())


def _encrypt(cipher: AESGCM, content: bytes, owner_id: uuid.UUID) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, content, owner_id.bytes)


def _decrypt(cipher: AESGCM, content: bytes, owner_id: uuid.UUID) -> bytes:
    view = memoryview(content)  # a slice of it is no second copy of a picture
    return cipher.decrypt(view[:NONCE_BYTES], view[NONCE_BYTES:], owner_id.bytes)
