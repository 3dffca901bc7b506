"""A hospital whose provider is served here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.oidc_provider import ALICE, Provider, configure, serving

if TYPE_CHECKING:
    from pytest_django.fixtures import SettingsWrapper


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    """Serve one provider for all tests of a module."""
    with serving() as provider:
        yield provider


@pytest.fixture
def hospital(server: Provider, settings: SettingsWrapper) -> Provider:
    """Set it up here, as it answers when nothing is wrong."""
    server.person, server.userinfo, server.described = dict(ALICE), None, {}
    server.sign, server.cancels = server.signed, False
    configure(settings, server)
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    return server
