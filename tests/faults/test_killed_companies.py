"""A worker that takes several photos at once is killed over one of them; the others do not pay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from analyses import queue
from analyses.models import DeletionEvent, Result, Status
from tests.faults.processes import Worker, wait_until
from tests.faults.scripted import Behaviour
from tests.faults.submitted import submit, wait_for_all

pytestmark = [pytest.mark.faults, pytest.mark.timeout(500)]
StartWorker = Callable[..., Worker]


def test_the_photos_beside_one_that_kills_the_worker_lose_no_counted_attempt(
    start_worker: StartWorker, image_store: Path
) -> None:
    before, poison, behind = (
        submit(behaviour)
        for behaviour in (Behaviour.FINISH, Behaviour.KILL_THE_CHILD, Behaviour.FINISH)
    )
    worker = start_worker(ANALYSES_AT_ONCE="3")
    ended = wait_for_all(worker)
    assert ended[before.id] == (Status.COMPLETED, 1, "")
    assert ended[behind.id] == (Status.COMPLETED, 2, "")
    # One attempt in company, which does not count, and three alone.
    assert ended[poison.id] == (Status.FAILED, 4, "too_many_attempts")
    assert Result.objects.count() == 2
    assert DeletionEvent.objects.count() == 3
    assert not list(image_store.iterdir())
    wait_until(lambda: queue.waiting_messages() == 0, why=worker.text)


def test_the_photos_beside_one_that_never_ends_are_tried_alone(
    start_worker: StartWorker, image_store: Path
) -> None:
    endless, behind = submit(Behaviour.IGNORE_THE_SOFT_LIMIT), submit(Behaviour.FINISH)
    worker = start_worker(ANALYSES_AT_ONCE="2", ANALYSIS_TIME_LIMIT="6")
    ended = wait_for_all(worker)
    assert ended[endless.id] == (Status.FAILED, 2, "time_limit")
    assert ended[behind.id] == (Status.COMPLETED, 2, "")
    assert not list(image_store.iterdir())
