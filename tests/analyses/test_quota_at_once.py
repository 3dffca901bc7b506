"""Two uploads at the same moment do not pass a limit that one after the other would meet."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from analyses import images
from analyses.exceptions import (
    IntakeError,
    QuotaExceededError,
    TooManyHeldError,
    TooManyPendingError,
)
from analyses.models import Analysis, HoldKind
from tests.factories import make_analysis, make_user

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("inference_queue"),
]
AT_ONCE = 3
WAITS = 60  # s


@pytest.fixture
def _side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everybody be past the first look at the limits before anybody stores."""
    keep = images.keep
    all_here = threading.Barrier(AT_ONCE)

    def wait_then_keep(analysis_id: uuid.UUID, pixels: np.ndarray) -> bytes:
        all_here.wait(WAITS)
        return keep(analysis_id, pixels)

    monkeypatch.setattr(images, "keep", wait_then_keep)


def at_once(send: Callable[[], Analysis]) -> list[Analysis | IntakeError]:
    def one(_: int) -> Analysis | IntakeError:
        try:
            return send()
        except IntakeError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(AT_ONCE)))


@pytest.mark.parametrize(
    ("limit", "error"),
    [
        ("MAX_PENDING_PER_USER", TooManyPendingError),
        ("UPLOADS_PER_DAY", QuotaExceededError),
        ("MAX_HELD_PER_USER", TooManyHeldError),
    ],
)
@pytest.mark.usefixtures("_side_by_side")
def test_the_last_place_is_taken_once(
    settings: Settings, image_store: Path, limit: str, error: type[IntakeError]
) -> None:
    setattr(settings, limit, 1)
    owner = make_user()
    kind = HoldKind.HUMAN_REQUESTED if limit == "MAX_HELD_PER_USER" else HoldKind.NONE
    found = at_once(lambda: make_analysis(owner, hold_kind=kind))
    (accepted,) = [one for one in found if isinstance(one, Analysis)]
    assert sum(isinstance(one, error) for one in found) == AT_ONCE - 1
    assert [analysis.pk for analysis in Analysis.objects.all()] == [accepted.pk]
    assert [path.name for path in image_store.iterdir()] == [f"{accepted.pk}.sealed"]


@pytest.mark.usefixtures("_side_by_side", "image_store")
def test_the_same_photo_sent_twice_by_its_key_is_one_even_on_the_last_place(
    settings: Settings,
) -> None:
    settings.MAX_PENDING_PER_USER = 1
    owner = make_user()
    found = at_once(lambda: make_analysis(owner, idempotency_key="double click"))
    assert {one.pk for one in found if isinstance(one, Analysis)} == {Analysis.objects.get().pk}
    assert not [one for one in found if isinstance(one, IntakeError)]
