"""A photo is claimed when the model is there to judge it: a slow load costs the photo nothing."""

from __future__ import annotations

import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import Any

import pytest
from celery.exceptions import Reject, SoftTimeLimitExceeded
from pytest_django.fixtures import Settings

from analyses import leases, queue, reconcile, worker
from analyses.leases import Queue
from analyses.models import Analysis, Status
from inference_worker import loading as loading_module
from inference_worker import tasks
from inference_worker.bundle import WeightsError
from inference_worker.loading import Loader
from tests.faults import scripted
from tests.faults.processes import wait_until
from tests.faults.submitted import submit

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("image_store", "inference_queue"),
]


class Loading:
    """What takes the place of loading: it waits to be let go, and then fails if it is told to."""

    def __init__(self) -> None:
        self.begun, self.let_go = threading.Event(), threading.Event()
        self.error: BaseException | None = None
        self.times = 0
        self.pipeline = scripted.Pipeline()

    def __call__(self) -> scripted.Pipeline:
        self.times += 1
        self.begun.set()
        self.let_go.wait()
        if self.error is not None:
            raise self.error
        return self.pipeline


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loading]:
    made = Loading()
    monkeypatch.setattr(tasks, "_pipeline", made)
    # What one test has not waited for, no other one is to be told of.
    loader = Loader(tasks._warm_pipeline, tasks._leave_lost_device)
    monkeypatch.setattr(tasks, "_loader", loader)
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
        if loading.begun.wait(timeout=60) and not over.wait(1):
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


def state(analysis: Analysis) -> tuple[str, int, str]:
    row = Analysis.objects.get(id=analysis.id)
    return row.status, row.attempts, row.error_code


def test_nothing_is_claimed_before_the_model_is_loaded(loading: Loading) -> None:
    analysis = submit()
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
    analysis = submit()
    soft_limit.start()
    with pytest.raises(Reject) as told:
        tasks.analyse(str(analysis.id))
    assert told.value.requeue
    assert state(analysis) == (Status.QUEUED, 0, "")
    loading.let_go.set()
    tasks.analyse(str(analysis.id))
    assert state(analysis) == (Status.COMPLETED, 1, "")


def limited(wait_for: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run out of time while `wait_for` loads, without a signal."""

    def run_out(*_: Any, **__: Any) -> Any:
        wait_for.begun.wait()
        raise SoftTimeLimitExceeded

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "wait", run_out)
        with pytest.raises(Reject):
            tasks.analyse(str(Analysis.objects.earliest("created_at").id))


def test_all_tasks_wait_for_one_load_and_one_is_told_its_failure_by_name(
    loading: Loading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a conversion that hangs for longer than the time limit and then gives up."""
    analyses = [submit(), submit()]
    for _ in range(3):
        limited(loading, monkeypatch)
    loading.error = WeightsError("the disk hangs")
    loading.let_go.set()
    tasks.analyse(str(analyses[0].id))
    assert loading.times == 1
    assert state(analyses[0]) == (Status.FAILED, 1, WeightsError.code)
    loading.error = None
    tasks.analyse(str(analyses[1].id))
    assert loading.times == 2
    assert state(analyses[1]) == (Status.COMPLETED, 1, "")


def test_a_failure_of_long_ago_is_not_told_to_a_photo_of_today(
    loading: Loading, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis = submit()
    limited(loading, monkeypatch)
    loading.error = WeightsError("the disk hangs")
    loading.let_go.set()
    load = tasks._loader.begin(awaited=True)
    assert isinstance(load.outcome.exception(timeout=60), WeightsError)
    monkeypatch.setattr(loading_module, "TRY_AGAIN", 0)
    loading.error = None
    tasks.analyse(str(analysis.id))
    assert loading.times == 2
    assert state(analysis) == (Status.COMPLETED, 1, "")


def test_what_a_failed_load_had_read_is_let_go_before_the_next_try() -> None:
    class Weights:
        pass

    read: list[weakref.ref[Weights]] = []

    def load() -> None:
        weights = Weights()
        read.append(weakref.ref(weights))
        raise OSError("the disk is gone")

    loader = Loader(load, lambda _error: None)
    loader.begin(awaited=False)
    wait_until(lambda: bool(read) and read[0]() is None, within=60)
    assert len(read) == 1  # it waits to try again


def test_a_task_waits_for_the_load_that_the_worker_began(
    loading: Loading, inference_child: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis = submit()
    tasks.warm_up()
    limited(loading, monkeypatch)
    loading.let_go.set()
    tasks.analyse(str(analysis.id))
    assert loading.times == 1
    assert state(analysis) == (Status.COMPLETED, 1, "")


@pytest.fixture
def inference_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be the child of a worker that analyses photos, and show the model's lease only once."""
    monkeypatch.setenv(worker.QUEUES_VARIABLE, Queue.INFERENCE)
    monkeypatch.setattr(worker, "show_model", leases.renew_model)
    monkeypatch.setattr(tasks, "_leases", [])


def has_shown_model() -> bool:
    for thread in tasks._leases:
        thread.join()
    return leases.has_model()


@pytest.mark.usefixtures("inference_child")
class TestTheModelsLease:
    def test_what_failed_at_the_start_is_shown_when_a_task_has_loaded_it(
        self, loading: Loading
    ) -> None:
        loading.error = OSError("a disk that is away for a moment")
        loading.let_go.set()
        tasks.warm_up()
        loading.begun.wait()
        assert not has_shown_model()
        loading.error = None
        tasks.analyse(str(submit().id))
        assert has_shown_model()
        tasks.analyse(str(submit().id))
        assert len(tasks._leases) == 1

    def test_what_failed_at_the_start_is_tried_again_when_nobody_asks(
        self, loading: Loading, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(loading_module, "TRY_AGAIN", 0.05)
        loading.error = OSError("a disk that is away for a moment")
        loading.let_go.set()
        tasks.warm_up()
        wait_until(lambda: loading.times >= 2, within=20)
        assert not has_shown_model()
        loading.error = None
        wait_until(has_shown_model, within=20)

    def test_a_model_that_judges_no_gray_square_is_not_shown_until_it_does(
        self, loading: Loading, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loading.let_go.set()
        with monkeypatch.context() as patch:
            patch.setattr(loading.pipeline, "warm", fail_with(WeightsError("no answer")))
            analysis = submit()
            tasks.analyse(str(analysis.id))
        assert state(analysis) == (Status.FAILED, 1, WeightsError.code)
        assert not has_shown_model()
        tasks.analyse(str(submit().id))
        assert has_shown_model()


def test_a_process_that_is_no_workers_shows_no_model(
    loading: Loading, inference_child: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(worker.QUEUES_VARIABLE)
    loading.let_go.set()
    tasks.analyse(str(submit().id))
    assert not has_shown_model()


@pytest.mark.parametrize("awaited", [True, False])
def test_a_gpu_that_is_lost_in_loading_ends_the_process(
    loading: Loading, monkeypatch: pytest.MonkeyPatch, awaited: bool, inference_child: None
) -> None:
    """No other try in this process could succeed."""
    ends: list[threading.Thread] = []
    monkeypatch.setattr(worker, "end_child", lambda: ends.append(threading.current_thread()))
    loading.error = scripted.AcceleratorError("CUDA error: unspecified launch failure")
    loading.let_go.set()
    if awaited:
        analysis = submit()
        tasks.analyse(str(analysis.id))
        # By the task, which has claimed: its worker counts the attempt of a photo that was alone.
        assert ends == [threading.current_thread()]
        assert state(analysis) == (Status.RUNNING, 1, "")
    else:
        monkeypatch.setattr(loading_module, "TRY_AGAIN", 0.01)
        tasks.warm_up()
        wait_until(lambda: bool(ends), within=20)
        loading.error = None
        # It must be over before the process may really be ended again.
        tasks._loader.begin(awaited=False).outcome.result(timeout=60)
    assert ends


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
        tasks.analyse(str(submit().id))
    assert waits == [tasks.LOOK_UP] * 2


def test_after_a_long_wait_the_photo_gets_all_of_its_time(
    loading: Loading, settings: Settings
) -> None:
    """What is left of the time limit could be too little."""
    settings.ANALYSIS_SOFT_TIME_LIMIT = 2
    analysis = submit()
    threading.Timer(2, loading.let_go.set).start()
    with pytest.raises(Reject) as told:
        tasks.analyse(str(analysis.id))
    assert told.value.requeue
    assert state(analysis) == (Status.QUEUED, 0, "")
    settings.ANALYSIS_SOFT_TIME_LIMIT = 270  # a busy machine is no long wait
    tasks.analyse(str(analysis.id))
    assert state(analysis) == (Status.COMPLETED, 1, "")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory: 9 bytes")])
def test_without_memory_for_the_model_the_photo_waits_and_is_sent_again(
    loading: Loading, error: BaseException
) -> None:
    loading.error = error
    loading.let_go.set()
    analysis = submit()
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
    analysis = submit()
    if slow:
        settings.ANALYSIS_SOFT_TIME_LIMIT = 2
        threading.Timer(0.5, loading.let_go.set).start()
    else:
        loading.let_go.set()
    tasks.analyse(str(analysis.id))
    assert state(analysis) == (Status.FAILED, 1, WeightsError.code)


def fail_with(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


def take_all_messages() -> None:
    from dermai.celery import app

    with app.connection_for_write() as connection:
        connection.default_channel.queue_purge("inference")
