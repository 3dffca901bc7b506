"""The way through a hospital's sign-in, as a browser goes it."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from accounts.audit.models import Action, AuditEvent
from tests.oidc_provider import browse

if TYPE_CHECKING:
    from django.test import Client
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer

SIGN_IN = "/accounts/hospital/"
LINK = "/accounts/hospital/link/"
CALLBACK = "/accounts/hospital/callback/"
LOGIN = "/accounts/login/"


def target_of(answer: Answer) -> str:
    """Return where the page goes on to by itself."""
    assert answer.status_code == 200
    match = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', answer.content.decode())
    assert match
    return html.unescape(match[1])


def come_back(client: Client, start: Answer) -> Answer:
    """Sign in at the provider, and follow it back."""
    back = urlsplit(browse(target_of(start)))
    assert back.path == CALLBACK
    return client.get(f"{back.path}?{back.query}")


def sign_in(client: Client, **sent: str) -> Answer:
    return come_back(client, client.post(SIGN_IN, sent))


def who(client: Client) -> str | None:
    found = client.session.get("_auth_user_id")
    return str(found) if found else None


def was_refused(client: Client, answer: Answer, *, traced: bool = True) -> bool:
    """Whether nobody is signed in, and the trail says so exactly where `traced`."""
    noted = AuditEvent.objects.filter(action=Action.SIGN_IN_FAILED, details__by="hospital")
    back = answer.status_code == 302 and answer["Location"] == LOGIN
    return back and who(client) is None and noted.exists() == traced


def told(client: Client) -> str:
    return html.unescape(client.get(LOGIN).content.decode())
