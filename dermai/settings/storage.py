"""Where things are kept: database, Redis (broker and cache)."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.retry import Retry

from dermai.private_redis import socket_path
from dermai.redis_urls import cache_url, needs_password
from dermai.settings.mode import DERMAI_HOME, EMBEDDED, env

# --- Database -------------------------------------------------------------------------------------

if EMBEDDED and not env.str("DATABASE_URL", default=""):
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DERMAI_HOME / "dermai.sqlite3",
            "OPTIONS": {
                # A writer waits for its turn instead of failing; IMMEDIATE takes the lock at the
                # start of a transaction, where waiting is allowed.
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    }
else:
    DATABASES = {"default": env.db_url("DATABASE_URL")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis ----------------------------------------------------------------------------------------

REDIS_URL: str = (
    env.str("REDIS_URL", default=f"unix://{socket_path(DERMAI_HOME)}")
    if EMBEDDED
    else env.str("REDIS_URL")
)
if not EMBEDDED and needs_password(REDIS_URL):
    raise ImproperlyConfigured(
        "REDIS_URL names no password: whoever reaches that Redis could give the workers orders. "
        "Set requirepass there and write redis://:PASSWORD@HOST:PORT (rediss:// for TLS)."
    )
_JSON = {"serializer": "dermai.cache.JsonSerializer"}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": cache_url(REDIS_URL),
        "KEY_PREFIX": "dermai",
        "VERSION": 2,  # of 1, which an older release may have left there, nothing is read
        "OPTIONS": _JSON,
    },
    # Asked while a person waits, and done without where Redis does not answer at once.
    "limits": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": cache_url(REDIS_URL),
        "KEY_PREFIX": "dermai-limits",
        "VERSION": 2,
        "OPTIONS": _JSON | {"socket_timeout": 0.25, "retry": Retry(NoBackoff(), 0)},  # s
    },
    # What decides who somebody is: of this process alone, where nobody else can write.
    "process": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}
