"""A photo is claimed when the model is there to judge it: a slow load costs the photo nothing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from typing import Any

import numpy as np
import pytest
from celery.exceptions import Reject, SoftTimeLimitExceeded
from PIL import Image
from pytest_django.fixtures import Settings

from analyses import queue, reconcile
from analyses.models import Analysis, Status
from inference_worker import tasks
from inference_worker.bundle import WeightsError
from tests import images
from tests.factories import make_analysis, make_upload
from tests.faults import scripted
from tests.faults.scripted import Behaviour

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("image_store", "inference_queue"),
]


class Loading:
    """What takes the place of loading: it waits to be let go, and then fails if it is told to."""

    def __init__(self) -> None:
        self.begun, self.let_go = threading.Event(), threading.Event()
        self.error: BaseException | None = None

    def __call__(self) -> scripted.Pipeline:
        self.begun.set()
        self.let_go.wait()
        if self.error is not None:
            raise self.error
        return scripted.Pipeline()


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loading]:
    made = Loading()
    monkeypatch.setattr(tasks, "_pipeline", made)
    yield made
    made.let_go.set()


@pytest.fixture
def soft_limit(loading: Loading) -> Iterator[threading.Thread]:
    """Return what ends this thread's work as Celery does, while it waits; not started yet."""

    def end(*_: Any) -> None:
        raise SoftTimeLimitExceeded

    def send() -> None:
        # A moment later it waits, and does not only set about to: a signal may come between two
        # lines of a library as well, and leave its lock behind.
        if loading.begun.wait(timeout=60) and not over.wait(0.2):
            signal.pthread_kill(main, signal.SIGUSR1)

    over, main = threading.Event(), threading.get_ident()
    before = signal.signal(signal.SIGUSR1, end)
    sender = threading.Thread(target=send)
    yield sender
    over.set()
    loading.begun.set()
    if sender.ident is not None:
        sender.join()  # where nobody handles it any more, a late signal ends the whole process
    signal.signal(signal.SIGUSR1, before)


def submitted() -> Analysis:
    picture = Image.fromarray(np.full((120, 160, 3), int(Behaviour.FINISH), np.uint8))
    content = images.encode(picture, "PNG")
    return make_analysis(upload=make_upload(content, name="a.png", media_type="image/png"))


def state(analysis: Analysis) -> tuple[str, int, str]:
    row = Analysis.objects.get(id=analysis.id)
    return row.status, row.attempts, row.error_code


def test_nothing_is_claimed_before_the_model_is_loaded(loading: Loading) -> None:
    analysis = submitted()
    seen: list[tuple[str, int, str]] = []

    def watch() -> None:
        loading.begun.wait()
        seen.append(state(analysis))
        loading.let_go.set()

    watching = threading.Thread(target=watch)
    watching.start()
    tasks.analyse(str(analysis.id))
    watching.join()
    assert seen == [(Status.QUEUED, 0, "")]
    assert state(analysis) == (Status.COMPLETED, 1, "")


def test_out_of_time_while_it_loads_the_message_goes_back_and_the_photo_waits(
    loading: Loading, soft_limit: threading.Thread
) -> None:
    analysis = submitted()
    soft_limit.start()
    with pytest.raises(Reject) as told:
        tasks.analyse(str(analysis.id))
    assert told.value.requeue
    assert state(analysis) == (Status.QUEUED, 0, "")
    loading.let_go.set()
    tasks.analyse(str(analysis.id))
    assert state(analysis) == (Status.COMPLETED, 1, "")


def test_a_signal_that_no_wait_noticed_is_handled_at_the_next_look_up(
    loading: Loading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it comes when a wait is about to begin: Python looks for it when that one ends."""
    waits: list[float | None] = []

    def wait_once_and_be_told(futures: list[Future[Any]], timeout: float | None = None) -> Any:
        waits.append(timeout)
        if len(waits) > 1:
            raise SoftTimeLimitExceeded
        return wait(futures, timeout=0)

    monkeypatch.setattr(tasks, "wait", wait_once_and_be_told)
    with pytest.raises(Reject):
        tasks.analyse(str(submitted().id))
    assert waits == [tasks.LOOK_UP] * 2


def test_after_a_long_wait_the_photo_gets_all_of_its_time(
    loading: Loading, settings: Settings
) -> None:
    """What is left of the time limit could be too little."""
    settings.ANALYSIS_SOFT_TIME_LIMIT = 2
    analysis = submitted()
    threading.Timer(0.5, loading.let_go.set).start()
    with pytest.raises(Reject) as told:
        tasks.analyse(str(analysis.id))
    assert told.value.requeue
    assert state(analysis) == (Status.QUEUED, 0, "")
    tasks.analyse(str(analysis.id))
    assert state(analysis) == (Status.COMPLETED, 1, "")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory: 9 bytes")])
def test_without_memory_for_the_model_the_photo_waits_and_is_sent_again(
    loading: Loading, error: BaseException
) -> None:
    loading.error = error
    loading.let_go.set()
    analysis = submitted()
    for _ in range(4):  # more often than a photo may be tried
        with pytest.raises(tasks.ModelNotLoadedError):
            tasks.analyse(str(analysis.id))
    assert state(analysis) == (Status.QUEUED, 0, "")
    take_all_messages()
    Analysis.objects.update(enqueued_at="2020-01-01T00:00:00Z")
    assert reconcile.reconcile().enqueued == 1
    assert queue.waiting_messages() == 1
    loading.error = None
    tasks.analyse(str(analysis.id))
    assert state(analysis) == (Status.COMPLETED, 1, "")


@pytest.mark.parametrize("slow", [False, True])
def test_a_bundle_that_cannot_be_used_ends_the_analysis_by_name(
    loading: Loading, settings: Settings, slow: bool
) -> None:
    loading.error = WeightsError("member-0.safetensors is not what the manifest pins")
    analysis = submitted()
    if slow:
        settings.ANALYSIS_SOFT_TIME_LIMIT = 2
        threading.Timer(0.5, loading.let_go.set).start()
    else:
        loading.let_go.set()
    tasks.analyse(str(analysis.id))
    assert state(analysis) == (Status.FAILED, 1, WeightsError.code)


def take_all_messages() -> None:
    from dermai.celery import app

    with app.connection_for_write() as connection:
        connection.default_channel.queue_purge("inference")
