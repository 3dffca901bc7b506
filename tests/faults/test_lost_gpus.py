"""A GPU that is lost in the middle is lost for a process, and no photo pays for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from analyses import queue
from analyses.models import Analysis, Status
from tests.faults.processes import Worker, wait_until
from tests.faults.scripted import Behaviour
from tests.faults.submitted import submit, wait_for_all

pytestmark = [pytest.mark.faults, pytest.mark.timeout(500)]
StartWorker = Callable[..., Worker]


@pytest.mark.parametrize("at_once", [1, 3])
def test_after_a_lost_gpu_a_new_process_analyses_every_photo(
    start_worker: StartWorker, image_store: Path, at_once: int
) -> None:
    lost, *others = (
        submit(behaviour)
        for behaviour in (Behaviour.LOSE_THE_DEVICE_ONCE, Behaviour.FINISH, Behaviour.FINISH)
    )
    worker = start_worker(ANALYSES_AT_ONCE=str(at_once))
    ended = wait_for_all(worker)
    assert ended[lost.id] == (Status.COMPLETED, 2, "")
    for other in others:  # alone, each comes when there is a new process
        assert ended[other.id] == (Status.COMPLETED, 1 if at_once == 1 else 2, "")
    counted = {row.attempts - row.uncounted_attempts for row in Analysis.objects.all()}
    assert counted == ({1, 2} if at_once == 1 else {1})
    assert worker.text().count("the GPU is lost") == 1
    assert not list(image_store.iterdir())
    wait_until(lambda: queue.waiting_messages() == 0, why=worker.text)


def test_a_photo_that_loses_the_gpu_each_time_is_put_away_and_the_others_complete(
    start_worker: StartWorker, image_store: Path
) -> None:
    before, poison, behind = (
        submit(behaviour)
        for behaviour in (Behaviour.FINISH, Behaviour.LOSE_THE_DEVICE, Behaviour.FINISH)
    )
    worker = start_worker(ANALYSES_AT_ONCE="3")
    ended = wait_for_all(worker)
    # One attempt in company, which does not count, and three alone.
    assert ended[poison.id] == (Status.FAILED, 4, "too_many_attempts")
    for other in (before, behind):
        assert ended[other.id] == (Status.COMPLETED, 2, "")
    assert not list(image_store.iterdir())
    wait_until(lambda: queue.waiting_messages() == 0, why=worker.text)
