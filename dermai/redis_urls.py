"""One Redis address, spelled for each client that needs it.

The broker has the database that the address names, 0 without one; the cache has the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from urllib.parse import SplitResult


def broker_url(redis_url: str) -> str:
    """Spell `redis_url` for kombu: a Unix socket is ``redis+socket://`` there.

    Raises `ValueError` where what stands for the database is no number.
    """
    parts = urlsplit(redis_url)
    database = _database(parts)
    if parts.scheme == "unix":
        credentials = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return f"redis+socket://{credentials}{parts.path}?virtual_host={database}"
    return parts._replace(path=f"/{database}").geturl()


def cache_url(redis_url: str) -> str:
    """Spell `redis_url` for redis-py, on the database after the broker's; raises the same."""
    parts = urlsplit(redis_url)
    database = _database(parts) + 1
    if parts.scheme == "unix":
        return f"{redis_url.partition('?')[0]}?db={database}"
    return parts._replace(path=f"/{database}").geturl()


def needs_password(redis_url: str) -> bool:
    """Tell whether `redis_url` is a Redis on a network, and names no password for it.

    A Unix socket is guarded by the rights of its folder.
    """
    parts = urlsplit(redis_url)
    return parts.scheme != "unix" and not parts.password


def _database(parts: SplitResult) -> int:
    """Return the number that `parts` names: ``/7``, on a Unix socket ``?db=7``."""
    if parts.scheme == "unix":
        (named,) = parse_qs(parts.query).get("db", ["0"])
    else:
        named = parts.path.strip("/") or "0"
    if not named.isdecimal():
        msg = f"REDIS_URL names the database {named!r}; write a number, or nothing for 0."
        raise ValueError(msg)
    return int(named)
