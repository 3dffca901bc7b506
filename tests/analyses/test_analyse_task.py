"""What the task does with a verdict, an error, and a database that is away for a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from django.db import OperationalError, connection
from PIL import Image

import inference_worker
from analyses.models import Analysis, Result, Status
from inference_worker import tasks
from tests import images
from tests.factories import make_analysis, make_upload
from tests.faults import scripted
from tests.faults.scripted import Behaviour

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("image_store", "inference_queue", "scripted_model"),
]


@pytest.fixture
def scripted_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the scripted model in the pipeline's place."""
    monkeypatch.setattr(inference_worker, "pipeline", scripted.module(), raising=False)


def submitted(value: int) -> Analysis:
    content = images.encode(Image.fromarray(np.full((120, 160, 3), value, np.uint8)), "PNG")
    return make_analysis(upload=make_upload(content, name="a.png", media_type="image/png"))


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
    done = ended(submitted(Behaviour.FINISH))
    assert (done.status, done.attempts) == (Status.COMPLETED, 1)
    assert done.result is not None


def test_a_message_that_comes_again_changes_nothing() -> None:
    done = ended(submitted(Behaviour.FINISH))
    again = ended(Analysis.objects.get(id=done.id))
    assert (again.attempts, again.completed_at) == (done.attempts, done.completed_at)
    assert Result.objects.count() == 1


def test_an_error_of_the_model_is_a_named_failure() -> None:
    done = ended(submitted(Behaviour.RAISE))
    assert (done.status, done.error_code) == (Status.FAILED, "model_error")


def test_a_photo_whose_file_is_gone_is_a_named_failure() -> None:
    from analyses import storage

    analysis = submitted(Behaviour.FINISH)
    storage.delete(analysis.id)
    assert ended(analysis).error_code == "image_unavailable"


def test_running_out_of_memory_is_a_named_failure() -> None:
    assert ended(submitted(Behaviour.RUN_OUT_OF_MEMORY)).error_code == "out_of_memory"


@pytest.mark.usefixtures("impatient")
def test_a_database_that_is_away_for_a_moment_costs_no_result() -> None:
    analysis = submitted(Behaviour.FINISH)
    with connection.execute_wrapper(fails(2, 'INSERT INTO "analyses_result"')):
        done = ended(analysis)
    assert done.status == Status.COMPLETED
    assert Result.objects.count() == 1


@pytest.mark.usefixtures("impatient")
def test_a_database_that_stays_away_leaves_the_attempt_to_reconcile() -> None:
    analysis = submitted(Behaviour.FINISH)
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
    analysis = submitted(Behaviour.FINISH)
    with (
        connection.execute_wrapper(fails(99, 'UPDATE "analyses_analysis"')),
        pytest.raises(OperationalError),
    ):
        tasks.analyse(str(analysis.id))
    analysis.refresh_from_db()
    assert (analysis.status, analysis.attempts) == (Status.QUEUED, 0)
