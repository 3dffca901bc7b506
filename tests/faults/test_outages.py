"""The broker, the disk or a stranger misbehaves; uploads are kept or refused by name."""

from __future__ import annotations

import json
import os
import pickle
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import current_app
from django.utils import timezone
from kombu import Exchange

from analyses import queue, reconcile
from analyses.models import Analysis, DeletionEvent, Status
from tests import images
from tests.factories import make_analysis, make_user
from tests.faults.processes import ROOT, Worker, environment, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]
StartWorker = Callable[..., Worker]
QUICK = 4.5  # s; whoever waits for the broker as long as others do waits for 5 and more

SUBMIT = """
import json, sys, time
import django
django.setup()
from accounts.models import User
from analyses.exceptions import IntakeError
from analyses import decoding
from analyses.intake import submit
import io
data = sys.stdin.buffer.read()
decoding.decode(data)  # the decoding process runs, as in a server that serves
owner = User.objects.get()
from analyses import queue
queue.waiting_messages()  # its libraries are loaded, for the same reason
started = time.perf_counter()
try:
    said = {"id": str(submit(owner=owner, upload=io.BytesIO(data)).id)}
except IntakeError as error:
    said = {"code": error.code}
print(json.dumps(said | {"seconds": time.perf_counter() - started}))
"""


def submit_elsewhere(
    content: bytes, *, limit_files_to: int | None = None, **changes: str
) -> dict[str, object]:
    """Submit from another process, with another environment."""

    def prepare() -> None:
        if limit_files_to is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_files_to, limit_files_to))

    done = subprocess.run(
        [sys.executable, "-c", SUBMIT],
        input=content,
        capture_output=True,
        cwd=ROOT,
        env=environment(**changes),
        preexec_fn=prepare,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Listen as a broker that hangs: it accepts and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        held: list[socket.socket] = []
        thread = threading.Thread(target=_hold, args=(server, held), daemon=True)
        thread.start()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in held:
            connection.close()


def _hold(server: socket.socket, held: list[socket.socket]) -> None:
    while True:
        try:
            held.append(server.accept()[0])
        except OSError:
            return


def test_with_the_broker_down_an_upload_is_accepted_and_sent_later(
    start_worker: StartWorker, image_store: Path
) -> None:
    make_user()
    said = submit_elsewhere(images.jpeg(), REDIS_URL=f"unix://{image_store}/none.sock")
    analysis = Analysis.objects.get(id=said["id"])
    assert (analysis.status, analysis.enqueued_at) == (Status.QUEUED, None)
    assert float(str(said["seconds"])) < QUICK
    assert queue.waiting_messages() == 0
    assert reconcile.reconcile().enqueued == 1
    analysis.refresh_from_db()
    assert analysis.enqueued_at is not None
    assert queue.waiting_messages() == 1


def test_with_a_broker_that_hangs_an_upload_is_accepted_all_the_same(silent_server: str) -> None:
    make_user()
    said = submit_elsewhere(images.jpeg(), REDIS_URL=silent_server)
    assert Analysis.objects.get(id=said["id"]).enqueued_at is None
    assert float(str(said["seconds"])) < QUICK


def test_a_full_disk_is_named_and_nothing_is_stored(image_store: Path) -> None:
    make_user()
    large = images.encode(images.lesion(1600, 1200), "JPEG", quality=60)
    said = submit_elsewhere(large, limit_files_to=4 * 1024 * 1024)
    assert said["code"] == "storage_unavailable"
    assert not Analysis.objects.exists()
    assert not list(image_store.iterdir())
    assert queue.waiting_messages() == 0


def test_messages_that_a_broker_forgot_are_sent_again(start_worker: StartWorker) -> None:
    # Lost before a worker asks: a message that is on its way to one is not lost.
    analysis = make_analysis()
    with current_app.connection_for_write() as connection:
        connection.default_channel.queue_purge("inference")
    worker = start_worker()
    Analysis.objects.update(enqueued_at=timezone.now())
    assert reconcile.enqueue_forgotten() == 0
    Analysis.objects.update(enqueued_at="2020-01-01T00:00:00Z")
    assert reconcile.enqueue_forgotten() == 1
    wait_until(lambda: Analysis.objects.get(id=analysis.id).is_terminal, why=worker.text)
    # The photo goes a moment after the commit that ends its analysis.
    wait_until(lambda: DeletionEvent.objects.count() == 1, why=worker.text)


class _Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def test_a_worker_refuses_pickles_and_goes_on(start_worker: StartWorker, tmp_path: Path) -> None:
    worker = start_worker()
    trap = tmp_path / "sprung"
    with current_app.connection_for_write() as connection:
        connection.Producer().publish(
            pickle.dumps(((_Trap(trap),), {}, {})),
            exchange=Exchange("inference"),
            routing_key="inference",
            content_type="application/x-python-serialize",
            content_encoding="binary",
            headers={"task": queue.ANALYSE, "id": "1"},
        )
    wait_until(lambda: "Refusing to deserialize" in worker.text(), why=worker.text)
    assert not trap.exists()
    analysis = make_analysis()
    wait_until(lambda: Analysis.objects.get(id=analysis.id).is_terminal, why=worker.text)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--pool", "solo"), "the pool is solo"),
        (("--concurrency", "2"), "the concurrency is 2"),
        (("--autoscale", "3,1"), "the concurrency is"),
    ],
)
def test_a_worker_with_the_wrong_settings_does_not_start(
    options: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    worker = Worker(tmp_path, *options)
    try:
        assert worker.process.wait(timeout=120) != 0
    finally:
        worker.stop()
    assert reason in worker.text()
    assert " ready." not in worker.text()
