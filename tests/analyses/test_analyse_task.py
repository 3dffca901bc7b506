"""What the task does with a verdict, an error, and a database that is away for a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError, connection
from pytest_django.fixtures import Settings

import inference_worker
from analyses import lifecycle, queue, worker
from analyses.models import Analysis, FailureCode, Result, Status
from inference_worker import tasks
from tests.factories import make_analysis
from tests.faults import scripted
from tests.faults.scripted import Behaviour
from tests.faults.submitted import submit

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("image_store", "inference_queue", "scripted_model"),
]


@pytest.fixture
def scripted_model(monkeypatch: pytest.MonkeyPatch) -> scripted.Pipeline:
    """Put the scripted model in the pipeline's place."""
    module: ModuleType = scripted.module()
    monkeypatch.setattr(inference_worker, "pipeline", module, raising=False)
    pipeline: scripted.Pipeline = module.current(Path(), None)
    return pipeline


def ended(analysis: Analysis) -> Analysis:
    tasks.analyse(str(analysis.id))
    analysis.refresh_from_db()
    return analysis


def fails(times: int, statement: str) -> Callable[..., Any]:
    """Refuse the first `times` statements that contain `statement`, as a lost database does."""
    left = [times]

    def wrapper(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if statement in sql and left[0]:
            left[0] -= 1
            raise OperationalError("the connection was lost")
        return execute(sql, *rest)

    return wrapper


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Do not wait between the tries."""
    monkeypatch.setattr(tasks, "RECORD_AFTER", (0.0, 0.0, 0.0))
    return


def test_a_verdict_completes_the_analysis() -> None:
    done = ended(submit(Behaviour.FINISH))
    assert (done.status, done.attempts) == (Status.COMPLETED, 1)
    assert done.result is not None


def test_a_message_that_comes_again_changes_nothing() -> None:
    done = ended(submit(Behaviour.FINISH))
    again = ended(Analysis.objects.get(id=done.id))
    assert (again.attempts, again.completed_at) == (done.attempts, done.completed_at)
    assert Result.objects.count() == 1


def test_an_error_of_the_model_is_a_named_failure() -> None:
    done = ended(submit(Behaviour.RAISE))
    assert (done.status, done.error_code) == (Status.FAILED, "model_error")


def test_a_photo_whose_file_is_gone_is_a_named_failure() -> None:
    from analyses import storage

    analysis = submit(Behaviour.FINISH)
    storage.delete(analysis.id)
    assert ended(analysis).error_code == "image_unavailable"


def test_running_out_of_memory_is_a_named_failure() -> None:
    assert ended(submit(Behaviour.RUN_OUT_OF_MEMORY)).error_code == "out_of_memory"


@pytest.mark.usefixtures("impatient")
def test_a_database_that_is_away_for_a_moment_costs_no_result() -> None:
    analysis = submit(Behaviour.FINISH)
    with connection.execute_wrapper(fails(2, 'INSERT INTO "analyses_result"')):
        done = ended(analysis)
    assert done.status == Status.COMPLETED
    assert Result.objects.count() == 1


@pytest.mark.usefixtures("impatient")
def test_a_database_that_stays_away_leaves_the_attempt_to_reconcile() -> None:
    analysis = submit(Behaviour.FINISH)
    with (
        connection.execute_wrapper(fails(99, 'INSERT INTO "analyses_result"')),
        pytest.raises(OperationalError),
    ):
        tasks.analyse(str(analysis.id))
    analysis.refresh_from_db()
    assert (analysis.status, analysis.attempts) == (Status.RUNNING, 1)
    assert analysis.image_key is not None
    assert Result.objects.count() == 0


def test_a_database_that_is_away_before_the_work_leaves_the_row_waiting() -> None:
    analysis = submit(Behaviour.FINISH)
    with (
        connection.execute_wrapper(fails(99, 'UPDATE "analyses_analysis"')),
        pytest.raises(OperationalError),
    ):
        tasks.analyse(str(analysis.id))
    analysis.refresh_from_db()
    assert (analysis.status, analysis.attempts) == (Status.QUEUED, 0)


@pytest.fixture
def named_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a worker with a name, that waits for nothing before it frees what it held."""
    monkeypatch.setenv(worker.IDENTITY_VARIABLE, "w1")
    monkeypatch.setattr(worker, "FREE_AFTER", (0.0, 0.0, 0.0))


def run_as_celery(analysis: Analysis) -> Analysis:
    """Run the task in this process, with Celery's signals around it."""
    tasks.analyse.apply(args=[str(analysis.id)])
    analysis.refresh_from_db()
    return analysis


@pytest.mark.usefixtures("impatient", "named_worker")
class TestAnOutageInTheMiddle:
    def test_the_photo_waits_again_at_once_and_no_attempt_is_counted(self) -> None:
        analysis = submit(Behaviour.FINISH)
        with connection.execute_wrapper(fails(3, 'INSERT INTO "analyses_result"')):
            lost = run_as_celery(analysis)
        assert (lost.status, lost.attempts, lost.uncounted_attempts) == (Status.QUEUED, 1, 1)
        assert queue.waiting_messages() == 2
        done = run_as_celery(analysis)
        assert (done.status, done.attempts) == (Status.COMPLETED, 2)

    def test_freeing_it_is_tried_again_while_the_database_is_still_away(self) -> None:
        analysis = submit(Behaviour.FINISH)
        with (
            connection.execute_wrapper(fails(3, 'INSERT INTO "analyses_result"')),
            connection.execute_wrapper(fails(2, '"claimed_by" = NULL, "claimed_at" = NULL')),
            connection.execute_wrapper(fails(2, 'WHERE ("analyses_analysis"."claimed_by" =')),
        ):
            lost = run_as_celery(analysis)
        assert lost.status == Status.QUEUED

    def test_what_cannot_be_freed_is_left_to_reconcile(self) -> None:
        analysis = submit(Behaviour.FINISH)
        with (
            connection.execute_wrapper(fails(3, 'INSERT INTO "analyses_result"')),
            connection.execute_wrapper(fails(3, 'WHERE ("analyses_analysis"."claimed_by" =')),
        ):
            lost = run_as_celery(analysis)
        assert (lost.status, lost.claimed_by) == (Status.RUNNING, "w1")

    def test_outages_without_end_end_the_analysis(self) -> None:
        """It may be the photo that the database cannot take."""
        analysis = submit(Behaviour.FINISH)
        with connection.execute_wrapper(fails(999, 'INSERT INTO "analyses_result"')):
            for _ in range(6):
                assert analysis.status == Status.QUEUED
                analysis = run_as_celery(analysis)
        assert (analysis.status, analysis.attempts) == (Status.FAILED, 6)
        assert analysis.error_code == FailureCode.TOO_MANY_ATTEMPTS

    def test_what_another_worker_holds_is_left_alone(self) -> None:
        other = lifecycle.claim(make_analysis().id, worker="w2")
        assert other is not None
        with connection.execute_wrapper(fails(3, 'INSERT INTO "analyses_result"')):
            run_as_celery(submit(Behaviour.FINISH))
        assert Analysis.objects.get(id=other.analysis_id).status == Status.RUNNING

    def test_an_outage_in_company_counts_once_as_not_counted(self) -> None:
        taken = [make_analysis(), make_analysis()]
        first = lifecycle.claim(taken[0].id, worker="w1")
        assert first is not None
        assert len(lifecycle.claim_company(first, most=1, worker="w1")) == 1
        assert lifecycle.release_lost(worker="w1", counted=False) == 2
        assert set(Analysis.objects.values_list("attempts", "uncounted_attempts")) == {(1, 1)}


def test_a_stage_that_cannot_be_shown_costs_no_result() -> None:
    analysis = submit(Behaviour.FINISH)
    with connection.execute_wrapper(fails(99, 'SET "stage" =')):
        done = ended(analysis)
    assert (done.status, done.attempts) == (Status.COMPLETED, 1)


class _Ended(BaseException):
    """In the place of the end of this process."""


@pytest.mark.usefixtures("named_worker")
class TestALostGpu:
    @pytest.fixture(autouse=True)
    def _outlive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Do not end the process, and begin each test with a GPU that works."""

        def end() -> NoReturn:
            raise _Ended

        monkeypatch.setattr(worker, "end_child", end)
        monkeypatch.setattr(scripted._Device, "lost", False)

    def lose(self, analysis: Analysis) -> None:
        """Analyse it and lose the GPU; then do as the worker does that sees its child die."""
        with pytest.raises(_Ended):
            tasks.analyse(str(analysis.id))
        scripted._Device.lost = False  # the next child's
        lifecycle.release_lost(worker="w1")

    def test_in_company_it_counts_against_nobody(self, settings: Settings) -> None:
        settings.ANALYSES_AT_ONCE = 3
        first, *_others = [submit(value) for value in (100, Behaviour.LOSE_THE_DEVICE, 100)]
        self.lose(first)
        rows = Analysis.objects.values_list("status", "attempts", "uncounted_attempts")
        assert list(rows) == [(Status.QUEUED, 1, 1)] * 3

    def test_what_had_ended_before_it_stays(
        self,
        settings: Settings,
        scripted_model: scripted.Pipeline,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        settings.ANALYSES_AT_ONCE = 2
        monkeypatch.setattr(scripted_model, "ask_together", lambda _photos: None)
        first, second = submit(Behaviour.FINISH), submit(Behaviour.LOSE_THE_DEVICE)
        self.lose(first)
        first.refresh_from_db()
        second.refresh_from_db()
        assert (first.status, second.status) == (Status.COMPLETED, Status.QUEUED)

    def test_a_photo_that_loses_it_each_time_alone_is_put_away(self) -> None:
        analysis = submit(Behaviour.LOSE_THE_DEVICE)
        for _ in range(3):
            self.lose(analysis)
        analysis.refresh_from_db()
        assert (analysis.status, analysis.attempts) == (Status.FAILED, 3)
        assert analysis.error_code == FailureCode.TOO_MANY_ATTEMPTS


class _AcceleratorLikeError(scripted.AcceleratorError):
    pass


def caused_by(cause: Exception) -> Exception:
    error = ValueError("the weights do not fit")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (scripted.AcceleratorError("CUDA error: device-side assert triggered"), True),
        (_AcceleratorLikeError("odd"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling cublas"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), True),
        (caused_by(scripted.AcceleratorError("CUDA error: unknown error")), True),
        (scripted.AcceleratorError("CUDA error: out of memory"), False),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), False),
        (MemoryError(), False),
        (ValueError("CUDA error: as somebody else writes it"), False),
        (caused_by(ValueError("odd")), False),
    ],
)
def test_an_error_of_the_gpu_itself_is_told_from_all_others(error: Exception, lost: bool) -> None:
    assert tasks.is_device_lost(error) is lost


def test_torch_still_names_its_errors_so() -> None:
    import torch

    assert torch.AcceleratorError.__name__ == tasks.DEVICE_ERROR
    assert tasks.is_device_lost(torch.AcceleratorError("CUDA error: unknown error"))
    assert not tasks.is_device_lost(torch.OutOfMemoryError("CUDA out of memory."))


def test_the_time_limit_frees_what_was_taken_along_before_the_task_knew_of_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, named_worker: None
) -> None:
    settings.ANALYSES_AT_ONCE = 2
    first, beside = submit(Behaviour.FINISH), submit(Behaviour.FINISH)
    claim_company = lifecycle.claim_company

    def run_out_of_time(*args: Any, **kwargs: Any) -> NoReturn:
        assert len(claim_company(*args, **kwargs)) == 1
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(lifecycle, "claim_company", run_out_of_time)
    tasks.analyse(str(first.id))
    states = Analysis.objects.values_list("id", "status", "uncounted_attempts")
    assert set(states) == {(first.id, Status.QUEUED, 1), (beside.id, Status.QUEUED, 1)}
