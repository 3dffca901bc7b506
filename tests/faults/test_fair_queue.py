"""A real worker serves people in turn, and leaves no photo behind and no message over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from analyses import queue
from analyses.models import Analysis, Status
from tests.factories import make_user
from tests.faults.processes import Worker, wait_until
from tests.faults.submitted import submit

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


@pytest.mark.parametrize("at_once", [1, 3])
def test_one_photo_does_not_wait_for_another_persons_six(
    start_worker: Callable[..., Worker], image_store: Path, at_once: int
) -> None:
    alice, bob = make_user("alice"), make_user("bob")
    for owner in [alice] * 6 + [bob]:
        submit(owner=owner)
    worker = start_worker(ANALYSES_AT_ONCE=str(at_once))
    done = Analysis.objects.filter(status=Status.COMPLETED)
    wait_until(lambda: done.count() == 7, why=worker.text)
    order = list(done.order_by("claimed_at", "id").values_list("owner__name", flat=True))
    # In one company of three, claimed within one moment, he is among the first.
    assert "Bob" in order[: max(2, at_once)]
    assert set(done.values_list("attempts", flat=True)) == {1}
    wait_until(lambda: queue.waiting_messages() == 0, why=worker.text)
    wait_until(lambda: not list(image_store.iterdir()), why=worker.text)
