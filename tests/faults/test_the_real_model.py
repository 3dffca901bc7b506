"""The whole way once with a real model: upload, worker, torch, result, no image left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from analyses.models import Analysis, DeletionEvent, Status
from tests import images
from tests.factories import make_analysis, make_upload
from tests.faults.processes import Worker, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


def test_a_drawn_lesion_is_judged_by_five_networks_in_a_worker_that_is_warm(
    start_worker: Callable[..., Worker], image_store: Path, tmp_path: Path
) -> None:
    from tests.inference_worker import tiny  # loads torch

    bundle = tmp_path / "bundle"
    bundle.mkdir()
    tiny.write(bundle)
    worker = start_worker(stand_in=False, DERMAI_BUNDLE=str(bundle))
    wait_until(lambda: "the model bundle is ready" in worker.text(), within=240, why=worker.text)
    analysis = make_analysis(upload=make_upload(images.jpeg(640, 480)))
    wait_until(lambda: Analysis.objects.get().is_terminal, within=240, why=worker.text)
    done = Analysis.objects.select_related("result").get(id=analysis.id)
    assert (done.status, done.error_code) == (Status.COMPLETED, ""), worker.text()
    assert done.result is not None
    assert len(done.result.members) == 5
    assert sum(done.result.votes.values()) == 45
    assert done.result.heatmap is not None
    assert done.result.bundle_name == "tiny"
    assert set(done.result.timings) >= {"quality", "ensemble", "heatmap"}
    # The photo is deleted after the result is committed, so a moment may lie between the two.
    wait_until(
        lambda: Analysis.objects.get().image_purged_at is not None, within=60, why=worker.text
    )
    assert DeletionEvent.objects.count() == 1
    assert not list(image_store.iterdir())
