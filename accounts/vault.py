"""What the database keeps and must not give away: encrypted under a key derived from the secret."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


def vault(purpose: bytes) -> MultiFernet:
    """Return the cipher for `purpose` of the present secret key, which still reads older ones."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    derived = (
        HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key.encode())
        for key in keys
    )
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])
