"""Messages on the broker that no web process sent: a real worker refuses them and works on."""

from __future__ import annotations

import json
import os
import pickle
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as configured
from kombu import Producer
from pytest_django.fixtures import Settings
from redis import Redis
from redis.exceptions import AuthenticationError

from analyses import queue
from analyses.models import Analysis, Result, Status
from dermai.celery import app
from dermai.redis_urls import cache_url
from tests.factories import make_analysis
from tests.faults.processes import Worker, wait_until

pytestmark = pytest.mark.faults
PICKLE = "application/x-python-serialize"


@pytest.fixture
def worker(
    tmp_path: Path,
    image_store: Path,
    inference_queue: None,
    transactional_db: None,
    settings: Settings,
) -> Iterator[Worker]:
    started = Worker(tmp_path)
    yield started.wait_ready()
    started.stop()


class Evil:
    """Unpickled, it leaves a file."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, tuple[str, int]]:
        return os.open, (str(self.witness), os.O_CREAT)


def send(
    body: object, *, task: str = queue.ANALYSE, content_type: str = "application/json"
) -> None:
    """Put a message on the queue, its body as it is, under the name of a task."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with app.connection_for_write() as connection:
        encoding = "binary" if content_type == PICKLE else "utf-8"
        Producer(connection.default_channel).publish(
            raw,
            routing_key="inference",
            content_type=content_type,
            content_encoding=encoding,
            headers={"task": task, "id": str(uuid.uuid4()), "lang": "py"},
        )


def test_no_message_harms_the_worker_or_what_it_is_there_for(
    worker: Worker, tmp_path: Path
) -> None:
    witness = tmp_path / "witness"
    code = pickle.dumps([[Evil(witness)], {}, {}])
    send(code, content_type=PICKLE)
    send(code, content_type="application/json")
    send(b"\x81\xa1a\x01", content_type="application/x-msgpack")
    send(b"!!python/object/apply:os.system ['id']", content_type="application/x-yaml")
    for task in (
        "os.system",
        "celery.chord_unlock",
        "inference_worker.tasks.__import__",
        "",
        "a\nb",
    ):
        send([["id"], {}, {}], task=task)
    hostile: list[list[Any]] = [
        ["not a uuid"],
        [""],
        [None],
        [1],
        [[]],
        [{"__class__": "x"}],
        ["../../etc/passwd"],
        ["' OR 1=1 --"],
        ["x" * 1_000_000],
        [str(uuid.uuid4())],
        [str(uuid.uuid4()), "more"],
        [],
    ]
    for args in hostile:
        send([args, {}, {}])
    send([[], {"analysis_id": "x", "self": "y"}, {}])
    send([[str(uuid.uuid4())], {}, {"chord": "x", "errbacks": [{"task": "os.system"}]}])
    send([])
    send({"task": "old protocol", "args": ["x"]})
    send("abc")
    send(["ab", {}, {}])
    send([[], "ab", {}])

    honest = make_analysis()

    def ended() -> Analysis | None:
        assert worker.process.poll() is None, worker.text()[-3000:]
        return Analysis.objects.filter(pk=honest.pk, status=Status.COMPLETED).first()

    done = wait_until(ended, within=120, why="the honest analysis was never done")
    assert done.attempts == 1
    assert worker.process.poll() is None
    assert not witness.exists()
    assert Analysis.objects.count() == Result.objects.count() == 1
    assert "Refusing to deserialize untrusted content of type pickle" in worker.text()
    assert "Received unregistered task" in worker.text()


def test_no_broadcast_ends_a_worker_or_changes_how_it_works(worker: Worker) -> None:
    """Celery's remote control would obey whoever can write to the broker."""
    forged: list[tuple[str, dict[str, Any]]] = [
        ("time_limit", {"task_name": queue.ANALYSE, "hard": 1, "soft": 1}),
        ("rate_limit", {"task_name": queue.ANALYSE, "rate_limit": "1/h"}),
        ("cancel_consumer", {"queue": "inference"}),
        ("pool_shrink", {"n": 1}),
        ("shutdown", {}),
    ]
    for command, arguments in forged:
        app.control.broadcast(command, arguments=arguments)
    assert app.control.ping(timeout=2) == []

    honest = make_analysis()

    def ended() -> Analysis | None:
        assert worker.process.poll() is None, worker.text()[-3000:]
        return Analysis.objects.filter(pk=honest.pk, status=Status.COMPLETED).first()

    wait_until(ended, within=120, why="the honest analysis was never done")
    time.sleep(2)  # a worker that obeys ends after its work
    assert worker.process.poll() is None
    assert "shutdown" not in worker.text().lower()


def test_a_worker_is_told_to_take_json_and_nothing_else() -> None:
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_serializer == "json"
    assert set(app.conf.worker_state_db or ()) == set()
    assert app.conf.result_backend is None
    assert app.conf.worker_enable_remote_control is False


def test_the_broker_takes_orders_from_this_account_or_for_a_password_alone() -> None:
    """The embedded one has a socket that no other account can open, a configured one a password."""
    parts = urlsplit(configured.REDIS_URL)
    with Redis.from_url(cache_url(configured.REDIS_URL)) as client:
        assert client.ping()
        if parts.scheme == "unix":
            socket = Path(parts.path)
            for place in (socket, socket.parent):
                found = place.stat()
                assert (found.st_uid, found.st_mode & 0o077) == (os.getuid(), 0), place
            assert client.config_get("port")["port"] == "0"
            return
    assert parts.password, "REDIS_URL names no password"
    stranger = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    with Redis.from_url(stranger) as client, pytest.raises(AuthenticationError):
        client.ping()
