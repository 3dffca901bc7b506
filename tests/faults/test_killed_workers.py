"""Workers are killed; every accepted upload still ends exactly once, and its image goes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from celery import current_app

from analyses import queue, reconcile
from analyses.models import Analysis, DeletionEvent, Result, Status
from tests.faults.processes import Worker, wait_until
from tests.faults.scripted import Behaviour
from tests.faults.submitted import submit

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]
StartWorker = Callable[..., Worker]


def now(analysis: Analysis) -> Analysis:
    return Analysis.objects.select_related("result").get(id=analysis.id)


def wait_for(analysis: Analysis, *statuses: Status, worker: Worker, within: float = 90) -> Analysis:
    wait_until(lambda: now(analysis).status in statuses, within=within, why=worker.text)
    return now(analysis)


def assert_ended_once(analysis: Analysis, image_store: Path) -> None:
    assert now(analysis).is_terminal
    assert now(analysis).image_key is None
    # The photo goes a moment after the commit that ends its analysis.
    wait_until(lambda: now(analysis).image_purged_at is not None, why="the photo was not deleted")
    assert DeletionEvent.objects.filter(analysis=analysis).count() == 1
    assert not list(image_store.iterdir())


def test_an_upload_is_analysed_by_a_real_worker(
    start_worker: StartWorker, image_store: Path
) -> None:
    worker = start_worker()
    analysis = submit(Behaviour.FINISH)
    done = wait_for(analysis, Status.COMPLETED, worker=worker)
    assert done.attempts == 1
    assert Result.objects.count() == 1
    assert_ended_once(analysis, image_store)


def test_a_killed_child_is_replaced_and_the_analysis_completes_once(
    start_worker: StartWorker, gate: Path, image_store: Path
) -> None:
    worker = start_worker()
    analysis = submit(Behaviour.WAIT_FOR_THE_GATE)
    wait_until(lambda: now(analysis).stage == "ensemble", why=worker.text)
    worker.kill_child()
    wait_until(lambda: now(analysis).attempts == 2, why=worker.text)
    gate.touch()
    done = wait_for(analysis, Status.COMPLETED, worker=worker)
    assert done.attempts == 2
    assert Result.objects.count() == 1
    assert_ended_once(analysis, image_store)


def test_a_killed_worker_is_restarted_and_the_analysis_completes_once(
    start_worker: StartWorker, gate: Path, image_store: Path
) -> None:
    analysis = submit(Behaviour.WAIT_FOR_THE_GATE)
    first = start_worker()
    wait_until(lambda: now(analysis).stage == "ensemble", why=first.text)
    assert reconcile.reconcile().released == 0  # its worker lives
    first.kill()
    gate.touch()
    second = start_worker(name="w2")

    def mended() -> bool:
        reconcile.reconcile()
        return now(analysis).status == Status.COMPLETED

    wait_until(mended, why=second.text)
    assert now(analysis).attempts == 2
    assert Result.objects.count() == 1
    assert_ended_once(analysis, image_store)


def test_a_database_that_is_lost_while_a_photo_is_worked_on_costs_it_no_wait(
    start_worker: StartWorker, image_store: Path
) -> None:
    worker = start_worker()
    analysis = submit(Behaviour.LOSE_THE_DATABASE_ONCE)
    # Nobody reconciles here.
    done = wait_for(analysis, Status.COMPLETED, worker=worker, within=90)
    assert (done.attempts, done.uncounted_attempts) == (2, 1)
    assert_ended_once(analysis, image_store)


def test_a_model_that_loads_for_longer_than_the_limit_costs_no_attempt(
    start_worker: StartWorker, image_store: Path, tmp_path: Path
) -> None:
    loaded = tmp_path / "loaded"
    worker = start_worker(ANALYSIS_TIME_LIMIT="20", DERMAI_TEST_LOADED=str(loaded))
    analysis = submit(Behaviour.FINISH)
    # The message goes back to the queue, and is taken again.
    wait_until(lambda: worker.text().count("the model is not loaded yet") >= 2, why=worker.text)
    assert (now(analysis).status, now(analysis).attempts) == (Status.QUEUED, 0)
    loaded.touch()
    done = wait_for(analysis, Status.COMPLETED, worker=worker)
    assert done.attempts == 1
    assert_ended_once(analysis, image_store)
    assert queue.waiting_messages() == 0


def test_a_poison_image_is_put_away_after_three_attempts_and_the_next_one_works(
    start_worker: StartWorker, image_store: Path
) -> None:
    worker = start_worker()
    poison = submit(Behaviour.KILL_THE_CHILD)
    done = wait_for(poison, Status.FAILED, worker=worker, within=150)
    assert (done.error_code, done.attempts) == ("too_many_attempts", 3)
    healthy = submit(Behaviour.FINISH)
    wait_for(healthy, Status.COMPLETED, worker=worker)
    assert_ended_once(poison, image_store)
    assert queue.waiting_messages() == 0


def test_two_workers_and_two_copies_of_the_message_make_one_attempt(
    start_worker: StartWorker, gate: Path, image_store: Path
) -> None:
    first, second = start_worker(), start_worker(name="w2")
    analysis = submit(Behaviour.WAIT_FOR_THE_GATE)
    for _ in range(3):
        current_app.send_task(queue.ANALYSE, args=[str(analysis.id)])
    wait_until(lambda: "nothing to do" in first.text() + second.text())
    gate.touch()
    wait_for(analysis, Status.COMPLETED, worker=first)
    wait_until(lambda: (first.text() + second.text()).count("nothing to do") == 3)
    assert now(analysis).attempts == 1
    assert Result.objects.count() == 1
    assert_ended_once(analysis, image_store)


def test_a_worker_that_wakes_up_late_writes_nothing(
    start_worker: StartWorker, gate: Path, image_store: Path
) -> None:
    late = start_worker()
    analysis = submit(Behaviour.WAIT_FOR_THE_GATE)
    wait_until(lambda: now(analysis).stage == "ensemble", why=late.text)
    child = late.child()
    os.kill(late.process.pid, signal.SIGSTOP)
    os.kill(child, signal.SIGSTOP)
    wait_until(lambda: reconcile.reconcile().released == 1)
    gate.touch()
    other = start_worker(name="w2")
    done = wait_for(analysis, Status.COMPLETED, worker=other)
    os.kill(child, signal.SIGCONT)
    os.kill(late.process.pid, signal.SIGCONT)
    wait_until(lambda: "was taken over: nothing written" in late.text(), why=late.text)
    after = now(analysis)
    assert (after.attempts, after.result_id, after.completed_at) == (
        2,
        done.result_id,
        done.completed_at,
    )
    assert Result.objects.count() == 1
    assert_ended_once(analysis, image_store)


@pytest.mark.parametrize("behaviour", [Behaviour.SLEEP, Behaviour.IGNORE_THE_SOFT_LIMIT])
def test_an_endless_analysis_ends_in_a_named_failure(
    behaviour: Behaviour, start_worker: StartWorker, image_store: Path
) -> None:
    analysis = submit(behaviour)
    with current_app.connection_for_write() as connection:
        connection.default_channel.queue_purge("inference")
    # The worker's own limit counts, whatever the message says.
    current_app.send_task(
        queue.ANALYSE, args=[str(analysis.id)], time_limit=3600, soft_time_limit=3600
    )
    worker = start_worker(ANALYSIS_TIME_LIMIT="6")
    done = wait_for(analysis, Status.FAILED, worker=worker)
    assert (done.error_code, done.attempts) == ("time_limit", 1)
    assert_ended_once(analysis, image_store)


def test_running_out_of_memory_ends_in_a_named_failure(
    start_worker: StartWorker, image_store: Path
) -> None:
    worker = start_worker()
    analysis = submit(Behaviour.RUN_OUT_OF_MEMORY)
    done = wait_for(analysis, Status.FAILED, worker=worker)
    assert done.error_code == "out_of_memory"
    assert_ended_once(analysis, image_store)
