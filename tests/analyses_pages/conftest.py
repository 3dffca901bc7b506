"""People, and a browser signed in as one of them.

Models are imported late: pytest loads this file before the settings are ready.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.analyses_pages.markup import Document

if TYPE_CHECKING:
    from django.test import Client

    from accounts.models import User

Open = Callable[..., Document]


@pytest.fixture
def alice(db: None) -> User:
    from tests.factories import make_user

    return make_user("alice")


@pytest.fixture
def bob(db: None) -> User:
    from tests.factories import make_user

    return make_user("bob")


@pytest.fixture
def browser(alice: User) -> Client:
    """Sign Alice in, in a browser of her own."""
    from django.test import Client

    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def see(browser: Client) -> Open:
    """Open a page as Alice; it must answer 200, or `status`."""

    def open_page(path: str, *, status: int = 200) -> Document:
        response = browser.get(path)
        assert response.status_code == status, response.content[:2000]
        return Document(response.content.decode())

    return open_page
