"""A home and a Redis of their own for the tests, before the settings are read.

With DATABASE_URL and REDIS_URL set, those are used instead; the home is still a temporary one. Of
several processes that share out the tests, each has databases of its own there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.strict import pytest_make_collect_report, pytest_runtest_makereport

__all__ = ("pytest_make_collect_report", "pytest_runtest_makereport")

REDIS_STARTS_WITHIN = 60  # s
PROCESS = os.environ.get("PYTEST_XDIST_WORKER", "")  # gw0, gw1, …; "" where there is but one
REDIS_DATABASES = 4  # of one process: broker and cache of its tests, and of a product they start
TEST_MASTER_KEY = "0123456789abcdef" * 4


class Embedded:
    """What this session started."""

    home: Path | None = None
    redis: subprocess.Popen[bytes] | None = None


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", None) and not PROCESS:
        return  # the processes that run the tests inherit nothing and each make their own
    Embedded.home = Path(tempfile.mkdtemp(prefix="dermai-t-", dir="/tmp"))
    (Embedded.home / "static").mkdir()
    os.environ["DERMAI_HOME"] = str(Embedded.home)
    os.environ.setdefault("IMAGE_MASTER_KEYS", TEST_MASTER_KEY)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["DJANGO_SETTINGS_MODULE"] = "dermai.settings"
    if redis_url := os.environ.get("REDIS_URL"):
        first = REDIS_DATABASES * int(PROCESS.removeprefix("gw") or 0)
        os.environ["REDIS_URL"] = urlsplit(redis_url)._replace(path=f"/{first}").geturl()
    else:
        Embedded.redis = _start_redis(Embedded.home)
    _load_settings(Embedded.home)


def pytest_unconfigure(config: pytest.Config) -> None:
    if Embedded.redis is not None:
        Embedded.redis.terminate()
        Embedded.redis.wait()
    if Embedded.home is not None:
        shutil.rmtree(Embedded.home, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_modify_db_settings_xdist_suffix() -> None:
    """Nothing to do: each process has a home, or a name, of its own; see `_load_settings`."""


@pytest.fixture(scope="session", autouse=True)
def _trail_can_be_emptied() -> None:
    """Let the flush after a transactional test empty the audit trail, which refuses all else."""
    from django.db import connection
    from django.test import TransactionTestCase

    from accounts.audit import triggers

    install, remove = triggers.INSTALL[connection.vendor], triggers.REMOVE[connection.vendor]
    flush = TransactionTestCase._fixture_teardown

    def flush_with_trail(case: TransactionTestCase) -> None:
        with connection.cursor() as cursor:
            for statement in remove:
                cursor.execute(statement)
            flush(case)
            for statement in install:
                cursor.execute(statement)

    TransactionTestCase._fixture_teardown = flush_with_trail  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    """Begin in one language: the last page that a test opened has left its own."""
    from django.utils import translation

    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    from django.core.cache import cache, caches

    yield
    cache.clear()
    caches["process"].clear()


@pytest.fixture
def image_store() -> Path:
    """Empty the folder of the encrypted pictures."""
    from django.conf import settings

    folder = Path(settings.IMAGE_STORE)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def inference_queue() -> Iterator[None]:
    """Empty the inference queue before and after."""
    _purge_queue()
    yield
    _purge_queue()


def _purge_queue() -> None:
    from dermai.celery import app

    with app.connection_for_write() as connection:
        channel = connection.default_channel
        for queue in ("inference", "maintenance"):
            channel.queue_declare(queue)
            channel.queue_purge(queue)


def _start_redis(home: Path) -> subprocess.Popen[bytes]:
    from dermai.private_redis import answers, server_command, socket_path

    server = subprocess.Popen(
        [*server_command(home), "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + REDIS_STARTS_WITHIN
    while not answers(socket_path(home)):
        if server.poll() is not None or time.monotonic() > deadline:
            raise pytest.UsageError("The private Redis of the tests did not start.")
        time.sleep(0.02)
    return server


def _load_settings(home: Path) -> None:
    from django.conf import settings

    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        # A file, not memory, under the name that worker processes with this home look for.
        database["TEST"] = {"NAME": str(home / "dermai.sqlite3")}
    else:
        database["TEST"] = {"NAME": f"test_{database['NAME']}{PROCESS}"}
    # A machine that is busy elsewhere for a moment is not a Redis that hangs.
    settings.CACHES["limits"]["OPTIONS"]["socket_timeout"] = 20  # s
    # The manifest exists only after collectstatic.
    settings.STORAGES["staticfiles"] = {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
    }
