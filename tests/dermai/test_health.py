"""Health addresses: honest about each part, and silent about everything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from analyses import leases

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def bundle(settings: Settings, tmp_path: Path) -> Path:
    (tmp_path / "bundle.json").write_text('{"schema_version": 1}')
    settings.BUNDLE_DIR = tmp_path
    return tmp_path


def parts() -> tuple[int, dict[str, str]]:
    response = Client().get("/readyz")
    assert response["Cache-Control"].startswith("max-age=0")
    return response.status_code, response.json()["parts"]


def test_alive_is_alive_whatever_else_is_down(settings: Settings) -> None:
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    response = Client().get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_ready_when_every_part_is_there() -> None:
    leases.renew("w1", ["inference"])
    leases.renew("w2", ["maintenance"])
    leases.renew_model()
    status, found = parts()
    assert status == 200
    assert found == dict.fromkeys(
        ("database", "broker", "inference_worker", "maintenance_worker", "bundle", "model"), "ok"
    )


def test_a_worker_that_still_loads_its_model_is_not_ready() -> None:
    leases.renew("w1", ["inference"])
    leases.renew("w2", ["maintenance"])
    status, found = parts()
    assert status == 503
    assert [name for name, state in found.items() if state != "ok"] == ["model"]


def test_a_missing_worker_is_named() -> None:
    leases.renew("w2", ["maintenance"])
    status, found = parts()
    assert status == 503
    assert found["inference_worker"] == "failing"
    assert found["maintenance_worker"] == "ok"


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_broken_bundle_is_named(bundle: Path, content: str) -> None:
    (bundle / "bundle.json").write_text(content)
    assert parts()[1]["bundle"] == "failing"


def test_a_broker_that_is_down_is_named_and_reveals_nothing(settings: Settings) -> None:
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    response = Client().get("/readyz")
    assert response.json()["parts"]["broker"] == "failing"
    assert b"nowhere" not in response.content
    assert set(response.json()) == {"status", "parts"}
    assert set(response.json()["parts"].values()) <= {"ok", "failing"}
