"""Every route of the URL configuration, and how to spell its address."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from django.urls import URLResolver, get_resolver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from django.urls import URLPattern

# Addresses of routes whose parameters name no object of a person.
SAMPLES: Final = {
    r"accounts/^confirm-email/(?P<key>[-:\w]+)/$": "accounts/confirm-email/no-such-key/",
    r"accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": (
        "accounts/password/reset/key/abc-no-such-key/"
    ),
    "accounts/second-factor-reset/<str:token>/": "accounts/second-factor-reset/no-such-token/",
    "api/v1/<path:path>": "api/v1/no/such/address",
    "admin/r/<path:content_type_id>/<path:object_id>/": "admin/r/1/1/",
    "admin/<app_label>/": "admin/accounts/",
    r"admin/(?P<url>.*)$": "admin/no/such/page",
}


def routes() -> list[str]:
    """Return every route as the configuration spells it."""
    return sorted(_walk(get_resolver().url_patterns))


def address(route: str, thing: str, ids: Mapping[str, object]) -> str:
    """Spell the address of `route` for the `thing` among `ids`."""
    if route in SAMPLES:
        return f"/{SAMPLES[route]}"
    for parameter in ("<uuid:pk>", "<uuid:analysis_id>", "<uuid:lesion_id>", "<int:token_id>",
                      "<int:session_id>", "<int:pk>", "<path:object_id>"):  # fmt: skip
        if parameter in route:
            route = route.replace(parameter, str(ids[thing]))
    assert "<" not in route, f"teach tests/security/routes.py to spell {route}"
    return f"/{route}"


def _walk(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        spelled = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, spelled)
        else:
            # The admin lists its applications in the expression: one that joins is no new route.
            yield re.sub(r"\^\(\?P<app_label>[^)]*\)/\$$", "<app_label>/", spelled)
