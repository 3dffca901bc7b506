"""Several photos claimed by one task: each has its own claim, and none pays for another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError, connection
from pytest_django.fixtures import Settings

import inference_worker
from analyses import lifecycle, storage
from analyses.models import Analysis, DeletionEvent, FailureCode, Result, Status
from inference_worker import tasks
from tests.factories import make_analysis, make_verdict
from tests.faults import scripted
from tests.faults.scripted import Behaviour
from tests.faults.submitted import submit

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("image_store", "inference_queue"),
]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> scripted.Pipeline:
    """Put the scripted model in the pipeline's place, and wait for nothing between tries."""
    module: ModuleType = scripted.module()
    monkeypatch.setattr(inference_worker, "pipeline", module, raising=False)
    monkeypatch.setattr(tasks, "RECORD_AFTER", (0.0, 0.0))
    pipeline: scripted.Pipeline = module.current(Path(), None)
    return pipeline


@pytest.fixture(autouse=True)
def _three_at_once(settings: Settings) -> None:
    settings.ANALYSES_AT_ONCE = 3


def states(*analyses: Analysis) -> list[tuple[str, int]]:
    """Return status and attempts of each."""
    found = {row.id: row for row in Analysis.objects.all()}
    return [(found[one.id].status, found[one.id].attempts) for one in analyses]


def company(count: int) -> list[lifecycle.Claim]:
    """Claim `count` photos as one task does."""
    for _ in range(count):
        make_analysis()
    first = lifecycle.claim(Analysis.objects.order_by("enqueued_at")[0].id, worker="w1")
    assert first is not None
    return [first, *lifecycle.claim_company(first, most=count - 1, worker="w1")]


class TestClaims:
    def test_each_has_a_claim_of_its_own(self) -> None:
        first, *others = company(3)
        assert len({claim.analysis_id for claim in (first, *others)}) == 3
        assert {claim.attempt for claim in others} == {1}
        assert lifecycle.record(others[0], make_verdict())
        assert lifecycle.fail(others[1], FailureCode.MODEL_ERROR)
        assert Analysis.objects.get(id=first.analysis_id).status == Status.RUNNING

    def test_the_oldest_that_wait_are_taken_and_no_more_than_asked_for(self) -> None:
        own, *rest = [make_analysis() for _ in range(4)]
        first = lifecycle.claim(own.id)
        assert first is not None
        taken = lifecycle.claim_company(first, most=2)
        assert [claim.analysis_id for claim in taken] == [one.id for one in rest[:2]]
        assert states(rest[2]) == [(Status.QUEUED, 0)]

    def test_nothing_is_taken_twice(self) -> None:
        taken = company(3)
        late = make_analysis()
        other = lifecycle.claim(late.id, worker="w2")
        assert other is not None
        assert lifecycle.claim_company(other, most=7, worker="w2") == []
        assert all(lifecycle.claim(claim.analysis_id) is None for claim in taken)

    def test_workers_that_claim_at_the_same_moment_never_share_a_photo(self) -> None:
        ids = [make_analysis().id for _ in range(12)]
        together = threading.Barrier(3)

        def claim_as(worker: int) -> list[lifecycle.Claim]:
            try:
                first = lifecycle.claim(ids[worker], worker=f"w{worker}")
                assert first is not None
                together.wait(timeout=30)
                return [first, *lifecycle.claim_company(first, most=5, worker=f"w{worker}")]
            finally:
                connection.close()

        with ThreadPoolExecutor(3) as pool:
            groups = list(pool.map(claim_as, range(3)))
        taken = [claim.analysis_id for group in groups for claim in group]
        assert len(taken) == len(set(taken)) == len(ids)
        for number, group in enumerate(groups):
            rows = Analysis.objects.filter(id__in=[claim.analysis_id for claim in group])
            assert {row.claimed_by for row in rows} == {f"w{number}"}

    def test_what_was_tried_before_is_tried_alone(self) -> None:
        tried, own = make_analysis(), make_analysis()
        lost = lifecycle.claim(tried.id, worker="w1")
        assert lost is not None
        lifecycle.release_lost(worker="w1")
        first = lifecycle.claim(own.id)
        assert first is not None
        assert lifecycle.claim_company(first, most=7) == []
        lifecycle.release(own.id, attempt=1)
        again, _new = lifecycle.claim(own.id), make_analysis()
        assert again is not None
        assert lifecycle.claim_company(again, most=7) == []

    def test_who_lost_its_claim_takes_no_company(self) -> None:
        first = lifecycle.claim(make_analysis().id)
        assert first is not None
        lifecycle.fail(first, FailureCode.MODEL_ERROR)
        waiting = make_analysis()
        assert lifecycle.claim_company(first, most=7) == []
        assert states(waiting) == [(Status.QUEUED, 0)]

    def test_an_attempt_in_company_counts_against_nobody(self) -> None:
        taken = company(2)
        assert lifecycle.release_lost(worker="w1") == 2
        for _ in range(2 * 3):  # three attempts alone are left to each
            assert lifecycle.claim(taken[0].analysis_id, worker="w1") is not None
            lifecycle.release_lost(worker="w1")
        assert lifecycle.claim(taken[0].analysis_id) is None
        ended = list(Analysis.objects.values_list("attempts", "error_code"))
        assert ended == [(4, "too_many_attempts")] * 2

    def test_a_failure_in_company_is_tried_again_alone_and_then_counts(self) -> None:
        claim = company(2)[1]
        assert lifecycle.give_up(claim, FailureCode.TIME_LIMIT)
        assert not lifecycle.give_up(claim, FailureCode.TIME_LIMIT)
        alone = lifecycle.claim(claim.analysis_id)
        assert alone is not None
        assert lifecycle.give_up(alone, FailureCode.TIME_LIMIT)
        row = Analysis.objects.get(id=claim.analysis_id)
        assert (row.status, row.error_code, row.attempts) == (Status.FAILED, "time_limit", 2)


@pytest.mark.usefixtures("model")
class TestTask:
    def test_one_message_ends_all_that_wait_up_to_the_limit(self, model: scripted.Pipeline) -> None:
        first, second, third, fourth = (submit() for _ in range(4))
        tasks.analyse(str(first.id))
        done = (Status.COMPLETED, 1)
        assert states(first, second, third, fourth) == [done, done, done, (Status.QUEUED, 0)]
        assert model.together == [3]
        assert Result.objects.count() == DeletionEvent.objects.count() == 3

    def test_the_messages_of_those_that_were_taken_along_do_nothing(
        self, model: scripted.Pipeline
    ) -> None:
        first, second = submit(), submit()
        tasks.analyse(str(first.id))
        tasks.analyse(str(second.id))
        assert states(first, second) == [(Status.COMPLETED, 1)] * 2
        assert model.together == [2]

    def test_nothing_is_waited_for(self) -> None:
        alone = submit()
        tasks.analyse(str(alone.id))
        assert states(alone) == [(Status.COMPLETED, 1)]

    def test_without_the_setting_the_machine_decides(
        self, model: scripted.Pipeline, settings: Settings
    ) -> None:
        settings.ANALYSES_AT_ONCE = 0
        first, second, third = (submit() for _ in range(3))
        tasks.analyse(str(first.id))
        assert states(second) == [(Status.QUEUED, 0)]
        model.at_once = 2
        tasks.analyse(str(second.id))
        assert states(second, third) == [(Status.COMPLETED, 1)] * 2

    @pytest.mark.parametrize("bad", [0, 1, 2])
    def test_a_photo_that_fails_is_tried_once_more_alone_and_harms_no_other(self, bad: int) -> None:
        values = [Behaviour.RAISE if place == bad else Behaviour.FINISH for place in range(3)]
        group = [submit(value) for value in values]
        tasks.analyse(str(group[0].id))
        failed = group.pop(bad)
        assert states(failed, *group) == [(Status.QUEUED, 1), *[(Status.COMPLETED, 1)] * 2]
        tasks.analyse(str(failed.id))
        assert states(failed) == [(Status.FAILED, 2)]
        assert Analysis.objects.get(id=failed.id).error_code == "model_error"

    def test_a_photo_whose_file_is_gone_harms_no_other(self) -> None:
        first, gone = submit(), submit()
        storage.delete(gone.id)
        tasks.analyse(str(first.id))
        tasks.analyse(str(gone.id))
        assert states(first, gone) == [(Status.COMPLETED, 1), (Status.FAILED, 2)]
        assert Analysis.objects.get(id=gone.id).error_code == "image_unavailable"

    def test_what_cannot_be_judged_together_is_judged_one_by_one(
        self, model: scripted.Pipeline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(model, "ask_together", fail_with(RuntimeError("out of memory")))
        first, second = submit(), submit()
        tasks.analyse(str(first.id))
        assert states(first, second) == [(Status.COMPLETED, 1)] * 2

    def test_a_photo_that_was_taken_over_is_left_alone(
        self, model: scripted.Pipeline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = submit(), submit()

        def take_over(_photos: object) -> None:
            lifecycle.release(second.id, attempt=1)

        monkeypatch.setattr(model, "ask_together", take_over)
        tasks.analyse(str(first.id))
        assert states(first, second) == [(Status.COMPLETED, 1), (Status.QUEUED, 1)]

    def test_out_of_time_those_that_have_not_ended_are_tried_alone(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, slow, behind = submit(), submit(Behaviour.SLEEP), submit()
        out_of_time = SimpleNamespace(sleep=fail_with(SoftTimeLimitExceeded()))
        monkeypatch.setattr(scripted, "time", out_of_time)
        tasks.analyse(str(first.id))
        assert states(first, slow, behind) == [
            (Status.COMPLETED, 1),
            (Status.QUEUED, 1),
            (Status.QUEUED, 1),
        ]
        tasks.analyse(str(slow.id))
        tasks.analyse(str(behind.id))
        assert states(slow, behind) == [(Status.FAILED, 2), (Status.COMPLETED, 2)]
        assert Analysis.objects.get(id=slow.id).error_code == "time_limit"

    def test_a_database_that_refuses_one_is_told_and_the_others_are_written(self) -> None:
        first, second = submit(), submit()
        refused = 0

        def refuse(execute: Callable[..., object], sql: str, *rest: object) -> object:
            nonlocal refused
            if 'INSERT INTO "analyses_result"' in sql and refused < 2:
                refused += 1
                raise OperationalError("the connection was lost")
            return execute(sql, *rest)

        with connection.execute_wrapper(refuse), pytest.raises(OperationalError):
            tasks.analyse(str(first.id))
        assert states(first, second) == [(Status.RUNNING, 1), (Status.COMPLETED, 1)]

    @pytest.mark.parametrize("fault", [ValueError("odd"), SoftTimeLimitExceeded()])
    def test_a_failure_that_cannot_be_written_harms_no_other(
        self, monkeypatch: pytest.MonkeyPatch, fault: Exception
    ) -> None:
        monkeypatch.setattr(scripted, "time", SimpleNamespace(sleep=fail_with(fault)))
        bad, *others = submit(Behaviour.SLEEP), submit(), submit()
        give_up = lifecycle.give_up

        def refuse_one(claim: lifecycle.Claim, code: str) -> bool:
            if claim.analysis_id == bad.id:
                raise OperationalError("the connection was lost")
            return give_up(claim, code)

        monkeypatch.setattr(lifecycle, "give_up", refuse_one)
        with pytest.raises(OperationalError):
            tasks.analyse(str(bad.id))
        out_of_time = isinstance(fault, SoftTimeLimitExceeded)
        rest = (Status.QUEUED, 1) if out_of_time else (Status.COMPLETED, 1)
        assert states(bad, *others) == [(Status.RUNNING, 1), rest, rest]


def fail_with(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail
