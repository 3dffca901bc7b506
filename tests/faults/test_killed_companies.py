"""A worker that takes several photos at once is killed over one of them; the others do not pay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analyses import queue
from analyses.models import Analysis, DeletionEvent, Result, Status
from tests import images
from tests.factories import make_analysis, make_upload
from tests.faults.processes import Worker, wait_until
from tests.faults.scripted import Behaviour

pytestmark = [pytest.mark.faults, pytest.mark.timeout(500)]
StartWorker = Callable[..., Worker]


def submit(behaviour: Behaviour) -> Analysis:
    picture = Image.fromarray(np.full((120, 160, 3), int(behaviour), np.uint8))
    content = images.encode(picture, "PNG")
    return make_analysis(upload=make_upload(content, name="a.png", media_type="image/png"))


def wait_for_all(worker: Worker) -> dict[object, tuple[str, int, str]]:
    """Return status, attempts and error of each analysis, once all have ended and photos gone."""
    kept = Analysis.objects.filter(image_purged_at__isnull=True)
    wait_until(lambda: not kept.exists(), within=240, why=worker.text)
    return {row.id: (row.status, row.attempts, row.error_code) for row in Analysis.objects.all()}


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
