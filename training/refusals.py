"""What the bundle refuses: how many real photos, and how many of what is none."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from tqdm import tqdm

from inference_worker import preprocessing
from training import calibrate, gate, impostors, predict
from training.readers import Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inference_worker.architectures import Classifier
    from inference_worker.manifest import Quality
    from inference_worker.ood import Statistics
    from inference_worker.pipeline import Pipeline
    from training.dataset import Labelled
    from training.fit import Run

PASSED: Final = "passed"

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


def served(pipeline: Pipeline, run: Run, own: Labelled) -> dict[str, Any]:
    """Return how many test photos the worker would judge, and why it refuses the others.

    Each goes through every check of the worker itself, as it comes: size, light, sharpness, the
    distribution, and whether a lesion is found.
    """
    source = Source(run.data, run.recipe.data.labelled)
    rows = own.split.test
    reasons: Counter[str] = Counter()
    for row in tqdm(rows, desc="refused", unit="photo", mininterval=10):
        rejection = pipeline.begin(source.pixels(own.records[row].path)).draft.rejection
        reasons[rejection.value if rejection else PASSED] += 1
    passed = reasons.pop(PASSED, 0)
    return {
        "n_images": len(rows),
        "passed": {"value": passed / len(rows), "ci": list(gate.interval(passed, len(rows)))},
        "reasons": dict(sorted(reasons.items())),
    }


def quality_limits(run: Run, own: Labelled, shares: NDArray[np.float64]) -> Quality:
    """Fit the quality limits to development photos as they come, and to degraded copies."""
    source = Source(run.data, run.recipe.data.labelled)
    rows = own.split.development
    some = rows[:: max(1, len(rows) // _QUALITY_PHOTOS)]
    photos = [source.pixels(own.records[i].path) for i in some]
    return calibrate.quality_limits(photos, shares)
