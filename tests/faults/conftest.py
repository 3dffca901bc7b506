"""A worker for each test, ended with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from tests.faults.processes import Worker

LEASE = 8  # s; a loaded machine must be able to renew it in time


@pytest.fixture(autouse=True)
def _clean(
    image_store: Path, inference_queue: None, transactional_db: None, settings: Settings
) -> None:
    """Begin with an empty queue and store, and with short leases."""
    settings.WORKER_LEASE_TTL = LEASE


@pytest.fixture
def start_worker(tmp_path: Path, settings: Settings) -> Iterator[Callable[..., Worker]]:
    """Start workers that end with the test."""
    started: list[Worker] = []

    def start(*options: str, **changes: Any) -> Worker:
        worker = Worker(tmp_path, *options, **changes)
        started.append(worker)
        return worker.wait_ready()

    yield start
    for worker in started:
        worker.stop()


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Name the file whose existence lets a waiting stand-in go on."""
    return tmp_path / "gate"
