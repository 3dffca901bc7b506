"""What the bundle refuses: how many real photos, and how many of what is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from inference_worker import preprocessing
from training import calibrate, impostors, predict
from training.readers import Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inference_worker.architectures import Classifier
    from inference_worker.manifest import Quality
    from inference_worker.ood import Statistics
    from training.dataset import Labelled
    from training.fit import Run

_IMPOSTORS: Final = 40
_QUALITY_PHOTOS: Final = 1000


def ood_report(
    run: Run,
    own: Labelled,
    model: Classifier,
    statistics: Statistics,
    limit: float,
    pixels: NDArray[np.uint8],
) -> dict[str, Any]:
    """Return the share refused of each kind of impostor, and of the real test photos."""
    how, device = run.recipe.input, run.device
    refused = {}
    for kind in impostors.KINDS:
        drawn = [impostors.draw(kind, seed) for seed in range(_IMPOSTORS)]
        squares = np.stack(
            [
                preprocessing.to_square(
                    preprocessing.apply(one, run.recipe.steps), how.size, via=how.via
                )
                for one in drawn
            ]
        )
        distance = calibrate.distances(statistics, predict.pooled(model, squares, how, device))
        refused[kind] = float((distance > limit).mean())
    real = predict.pooled(model, pixels[own.split.test], how, device)
    passed = float((calibrate.distances(statistics, real) <= limit).mean())
    return {"limit": limit, "impostors_refused": refused, "test_photos_passed": passed}


def quality_limits(run: Run, own: Labelled, shares: NDArray[np.float64]) -> Quality:
    """Fit the quality limits to development photos as they come, and to degraded copies."""
    source = Source(run.data, run.recipe.data.labelled)
    rows = own.split.development
    some = rows[:: max(1, len(rows) // _QUALITY_PHOTOS)]
    photos = [source.pixels(own.records[i].path) for i in some]
    return calibrate.quality_limits(photos, shares)
