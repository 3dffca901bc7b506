"""Limits that keep tables short: counted for each person, and nobody's way out without Redis."""

from __future__ import annotations

import logging

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django.fixtures import Settings
from redis.exceptions import ConnectionError as RedisAwayError

from accounts.consent import has_consented
from analyses.models import Lesion
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def _without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise RedisAwayError

    for name in ("get", "set", "add", "incr", "touch", "delete"):
        monkeypatch.setattr(type(cache._connections["default"]), name, away)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_without_redis")
def test_without_redis_consent_name_and_lesions_are_changed_all_the_same(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.LESION_CHANGES_PER_HOUR = 1
    alice = make_user("alice", consented=False)
    client = Client()
    client.force_login(alice)
    with caplog.at_level(logging.WARNING):
        client.post("/privacy/consent/", {"act": "give"})
        client.post("/accounts/profile/", {"name": "Alice Roca", "language": ""})
        for name in ("Nose", "Chin"):
            assert client.post("/api/v1/lesions/", {"name": name}).status_code == 201
    assert has_consented(alice)
    alice.refresh_from_db()
    assert alice.name == "Alice Roca"
    assert Lesion.objects.filter(owner=alice).count() == 2
    for what in ("consent", "rename", "LESION_CHANGES_PER_HOUR"):
        assert f"{what} is not counted" in caplog.text
