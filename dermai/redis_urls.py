"""One Redis address, spelled for each client that needs it."""

from __future__ import annotations

from urllib.parse import urlsplit

BROKER_DB = 0
CACHE_DB = 1


def broker_url(redis_url: str) -> str:
    """Spell `redis_url` for kombu: a Unix socket is ``redis+socket://`` there."""
    parts = urlsplit(redis_url)
    if parts.scheme == "unix":
        credentials = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return f"redis+socket://{credentials}{parts.path}?virtual_host={BROKER_DB}"
    return _with_db(redis_url, BROKER_DB)


def cache_url(redis_url: str) -> str:
    """Spell `redis_url` for redis-py, on a database of its own."""
    parts = urlsplit(redis_url)
    if parts.scheme == "unix":
        return f"{redis_url.partition('?')[0]}?db={CACHE_DB}"
    return _with_db(redis_url, CACHE_DB)


def _with_db(redis_url: str, db: int) -> str:
    parts = urlsplit(redis_url)
    return parts._replace(path=f"/{db}").geturl()
