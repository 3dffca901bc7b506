"""Secrets: of the environment in production, made on the first start when embedded."""

from __future__ import annotations

from typing import Final

from django.core.exceptions import ImproperlyConfigured

from dermai.local_secrets import local_secret
from dermai.settings.mode import DERMAI_HOME, EMBEDDED, env

MIN_SECRET_LENGTH: Final = 32  # characters; of hexadecimal ones that is 128 bits

SECRET_KEY: str = (
    env.str("SECRET_KEY", default="") or local_secret(DERMAI_HOME / "secret.key")
    if EMBEDDED
    else env.str("SECRET_KEY")
)
# Older keys that still open sessions and read what they encrypted, while a new one takes over.
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])
# Wrapping keys of the images in flight, newest first: the first wraps, any may unwrap.
IMAGE_MASTER_KEYS: list[str] = (
    env.list("IMAGE_MASTER_KEYS", default=[]) or [local_secret(DERMAI_HOME / "master.key")]
    if EMBEDDED
    else env.list("IMAGE_MASTER_KEYS")
)

# How long the trail is kept; retention cuts its old end behind a signed checkpoint.
AUDIT_RETENTION_DAYS: int = env.int("AUDIT_RETENTION_DAYS", default=6 * 365)
# Signs the checkpoints of the audit trail.
AUDIT_KEY: str = (
    env.str("AUDIT_KEY", default="") or local_secret(DERMAI_HOME / "audit.key")
    if EMBEDDED
    else env.str("AUDIT_KEY")
)
# Older keys whose checkpoints still count, while those that they signed are kept.
AUDIT_KEY_FALLBACKS: list[str] = env.list("AUDIT_KEY_FALLBACKS", default=[])

for _name, _secrets in (
    ("SECRET_KEY", [SECRET_KEY]),
    ("SECRET_KEY_FALLBACKS", SECRET_KEY_FALLBACKS),
    ("IMAGE_MASTER_KEYS", IMAGE_MASTER_KEYS or [""]),
    ("AUDIT_KEY", [AUDIT_KEY]),
    ("AUDIT_KEY_FALLBACKS", AUDIT_KEY_FALLBACKS),
):
    if any(len(secret.strip()) < MIN_SECRET_LENGTH for secret in _secrets):
        raise ImproperlyConfigured(
            f"{_name}: each secret needs {MIN_SECRET_LENGTH} characters or more, each of them "
            "random, for example from `openssl rand -hex 32`."
        )
