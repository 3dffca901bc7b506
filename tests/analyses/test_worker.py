"""A worker that could not keep the promises does not start; errors of the model have codes."""

from __future__ import annotations

import pytest
from celery.exceptions import TimeLimitExceeded

from analyses import leases, worker
from analyses.images import ImageUnavailableError
from analyses.leases import Queue
from inference_worker.tasks import failure_code

RIGHT = {
    "queues": {"inference"},
    "pool": "prefork",
    "concurrency": 1,
    "start_method": "spawn",
    "accepts": {"json"},
}


def test_the_right_settings_are_accepted() -> None:
    assert worker.refusals(**RIGHT) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"pool": "solo"},
        {"pool": "thread"},
        {"concurrency": 2},
        {"concurrency": "4,1"},
        {"start_method": "fork"},
        {"accepts": {"json", "pickle"}},
    ],
)
def test_each_wrong_setting_is_refused(wrong: dict[str, object]) -> None:
    assert len(worker.refusals(**RIGHT | wrong)) == 1


def test_a_maintenance_worker_may_be_otherwise() -> None:
    assert worker.refusals(**RIGHT | {"queues": {"maintenance"}, "pool": "solo"}) == []


def test_a_lease_is_seen_until_it_lapses() -> None:
    assert leases.lapsed({"w1", "w2"}) == {"w1", "w2"}
    leases.renew("w1", ["inference"])
    assert leases.lapsed({"w1", "w2"}) == {"w2"}
    assert leases.is_served(Queue.INFERENCE)
    assert not leases.is_served(Queue.MAINTENANCE)


class _NamedError(Exception):
    code = "model_unavailable"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), "out_of_memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "out_of_memory"),
        (ImageUnavailableError("gone"), "image_unavailable"),
        (_NamedError(), "model_unavailable"),
        (ValueError("odd"), "model_error"),
        (TimeLimitExceeded(3), "model_error"),
    ],
)
def test_errors_have_stable_codes(error: Exception, code: str) -> None:
    assert failure_code(error) == code
