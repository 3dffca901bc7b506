"""What the cache keeps, and that nobody who writes to Redis runs code through it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import caches
from django.test import Client
from redis import Redis

from analyses import leases
from dermai.cache import JsonSerializer

KEPT = [0, 7, -3, True, False, None, 1.5, "words", "7", [1.25, 2], {"a": [1, {"b": "c"}]}]


class Evil:
    """Unpickled, it leaves a file."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, tuple[str, int]]:
        return os.open, (str(self.witness), os.O_CREAT)


@pytest.mark.parametrize("alias", ["default", "limits"])
@pytest.mark.parametrize("value", KEPT)
def test_what_is_kept_comes_back_as_it_was(alias: str, value: object) -> None:
    caches[alias].set("kept", value, timeout=60)
    found = caches[alias].get("kept", "absent")
    assert found == value
    assert type(found) is type(value)
    caches[alias].delete("kept")


def test_redis_counts_with_what_is_kept() -> None:
    caches["default"].set("count", 3, timeout=60)
    assert caches["default"].incr("count", 2) == 5
    assert caches["default"].get("count") == 5


def test_what_json_has_no_word_for_is_refused() -> None:
    with pytest.raises(TypeError):
        caches["default"].set("odd", object())
    with pytest.raises(ValueError, match="Expecting value"):
        JsonSerializer().loads(b"no json")


@pytest.mark.parametrize("alias", ["default", "limits"])
def test_a_pickle_that_somebody_put_there_is_not_run(alias: str, tmp_path: Path) -> None:
    witness, cache = tmp_path / "witness", caches[alias]
    redis = Redis.from_url(settings.CACHES[alias]["LOCATION"])
    redis.set(cache.make_key("forged"), pickle.dumps(Evil(witness)))
    with pytest.raises(ValueError):  # noqa: PT011 - one of several
        cache.get("forged")
    assert not witness.exists()
    redis.delete(cache.make_key("forged"))


@pytest.mark.parametrize("version", [1, 2])
def test_a_stranger_who_asks_whether_it_is_ready_runs_nothing(
    client: Client, db: None, tmp_path: Path, version: int
) -> None:
    """Any release's key: that of an older one is not even read."""
    witness, cache = tmp_path / "witness", caches["default"]
    redis = Redis.from_url(settings.CACHES["default"]["LOCATION"])
    key = cache.make_key(leases._MODEL_KEY, version=version)
    redis.set(key, pickle.dumps(Evil(witness)))
    client.raise_request_exception = False
    assert client.get("/readyz").status_code >= 500
    assert not witness.exists()
    redis.delete(key)


def test_every_cache_on_redis_speaks_json_alone() -> None:
    for alias, told in settings.CACHES.items():
        if "redis" in told["BACKEND"]:
            assert isinstance(caches[alias]._cache._serializer, JsonSerializer), alias
