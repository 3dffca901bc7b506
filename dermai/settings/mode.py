"""How the product runs: embedded on one machine, or in production."""

from __future__ import annotations

from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parents[2]
env = environ.FileAwareEnv()

MODE: str = env.str("DERMAI_MODE", default="embedded")
if MODE not in {"embedded", "production"}:
    msg = f"DERMAI_MODE is {MODE!r}; it must be 'embedded' or 'production'."
    raise ImproperlyConfigured(msg)
EMBEDDED = MODE == "embedded"
DERMAI_HOME = Path(env.str("DERMAI_HOME", default=str(BASE_DIR / "var"))).resolve()
DERMAI_HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
DEBUG: bool = env.bool("DEBUG", default=False)
