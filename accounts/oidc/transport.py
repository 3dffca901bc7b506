"""Which addresses of a provider may be spoken to. Knows no Django: the settings ask here."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def is_protected(url: str, *, local: bool) -> bool:
    """Whether `url` is https, or, where `local` allows it, http on this very machine."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    return local and parts.scheme == "http" and parts.hostname in LOOPBACK
