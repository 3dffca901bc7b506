"""How the product runs: embedded on one machine, or in production."""

from __future__ import annotations

from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping

BASE_DIR = Path(__file__).resolve().parents[2]


class Variables(FileAwareMapping):  # type: ignore[misc]  # untyped library
    """The environment, and the files that `NAME_FILE` names, without the line break at their end.

    A secret is not another one for being in a file.
    """

    def __getitem__(self, key: str) -> str:
        """Return the value of `key`. Raises `KeyError`, `OSError`."""
        value: str = super().__getitem__(key)
        return value.rstrip("\r\n") if self.env.get(f"{key}_FILE") else value


class Env(environ.FileAwareEnv):  # type: ignore[misc]  # untyped library
    """Reads the settings."""

    ENVIRON = Variables()


env = Env()

MODE: str = env.str("DERMAI_MODE", default="embedded")
if MODE not in {"embedded", "production"}:
    msg = f"DERMAI_MODE is {MODE!r}; it must be 'embedded' or 'production'."
    raise ImproperlyConfigured(msg)
EMBEDDED = MODE == "embedded"
DERMAI_HOME = Path(env.str("DERMAI_HOME", default=str(BASE_DIR / "var"))).resolve()
DERMAI_HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
DEBUG: bool = env.bool("DEBUG", default=False)
if DEBUG and not EMBEDDED:
    raise ImproperlyConfigured(
        "DEBUG is on in production: its error pages show settings and records. Take it out."
    )
