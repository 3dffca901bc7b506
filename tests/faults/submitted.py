"""Photos that tell the stand-in for the model what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from analyses.models import Analysis
from tests import images
from tests.factories import make_analysis, make_upload
from tests.faults.processes import Worker, wait_until
from tests.faults.scripted import Behaviour

if TYPE_CHECKING:
    from accounts.models import User


def submit(behaviour: int = Behaviour.FINISH, owner: User | None = None) -> Analysis:
    """Send a photo at which the stand-in shows `behaviour`, the value of all of its pixels."""
    picture = Image.fromarray(np.full((120, 160, 3), int(behaviour), np.uint8))
    content = images.encode(picture, "PNG")
    return make_analysis(owner, upload=make_upload(content, name="a.png", media_type="image/png"))


def wait_for_all(worker: Worker) -> dict[object, tuple[str, int, str]]:
    """Return status, attempts and error of each analysis, once all have ended and photos gone."""
    kept = Analysis.objects.filter(image_purged_at__isnull=True)
    wait_until(lambda: not kept.exists(), within=240, why=worker.text)
    return {row.id: (row.status, row.attempts, row.error_code) for row in Analysis.objects.all()}
