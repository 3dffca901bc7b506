"""Codes of an authenticator app, as the app makes them."""

from __future__ import annotations

import time

from allauth.mfa import app_settings
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value


def code(secret: str, *, ahead: int = 0) -> str:
    """Return the code of now, or of `ahead` periods of 30 s later (earlier if negative)."""
    return format_hotp_value(
        hotp_value(secret, int(time.time()) // app_settings.TOTP_PERIOD + ahead)
    )
