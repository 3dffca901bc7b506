"""E-mail: embedded writes it to files under `DERMAI_HOME`."""

from __future__ import annotations

from dermai.settings.mode import DERMAI_HOME, EMBEDDED, env

if EMBEDDED and not env.str("EMAIL_URL", default=""):
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = DERMAI_HOME / "mail"
else:
    vars().update(env.email_url("EMAIL_URL"))
# A mail server that hangs holds a worker, and its claim on one letter, no longer than this.
EMAIL_TIMEOUT = 10  # s
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", default="DermAI <no-reply@localhost>")
