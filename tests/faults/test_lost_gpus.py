"""A GPU that is lost in the middle is lost for a process, and no photo pays for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analyses import queue
from analyses.models import Analysis, Status
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
