"""The bundle judged by the worker itself, to see that it says what the evaluation says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from inference_worker import bundle
from inference_worker.pipeline import Pipeline
from training.readers import Source

if TYPE_CHECKING:
    from pathlib import Path

    from training.evaluate import Cases
    from training.fit import Run

_PHOTOS = 16
_SMOKE_PHOTOS = 2


def largest_difference(run: Run, folder: Path, cases: Cases) -> float:
    """Return the largest difference of p(malignant) between the worker's pipeline and `cases`.

    Over a few photos, spread evenly over the test part, as they come from the data set.
    """
    pipeline = Pipeline(bundle.load(folder))
    source = Source(run.data, run.recipe.data.labelled)
    evaluated = cases.score(cases.calibrated())
    count = min(_SMOKE_PHOTOS if run.smoke else _PHOTOS, len(evaluated))
    rows = np.linspace(0, len(evaluated) - 1, count).round().astype(int)
    differences = []
    for row in rows:
        verdict = pipeline.run(source.pixels(cases.records[row].path), always_classify=True)
        if verdict.classification is None:
            raise RuntimeError("the pipeline gave no numbers, though it was asked for them")
        differences.append(abs(verdict.classification.p_malignant - evaluated[row]))
    return float(max(differences))
