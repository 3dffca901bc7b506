"""A finished bundle's gate certified anew, from its own weights: nothing is trained.

Each member judges the fold that it left out. The temperature that the bundle serves stays as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from inference_worker import views
from inference_worker.pipeline import Pipeline
from training import metrics, opinions, out_of_fold, predict, refusals
from training.overlap import segmentation_report

if TYPE_CHECKING:
    from inference_worker.bundle import Bundle
    from inference_worker.manifest import Manifest
    from training.dataset import Labelled
    from training.fit import Run


def gate(loaded: Bundle, run: Run, own: Labelled) -> Manifest:
    """Return the manifest with its gate certified at the temperature that it serves.

    The opinions are kept in the run's folder: a second call goes on where the first was killed.
    """
    described = loaded.manifest
    told = opinions.out_of_fold(loaded, run, own)
    weights = views.plan(described.views).weights
    found = out_of_fold.gather(own, run.recipe.labels, told, weights)
    certified = out_of_fold.certify(found, described.temperature)
    seen = out_of_fold.figures(found, described.temperature, certified)
    return replace(
        described,
        gate=replace(described.gate, risk_controlled=certified),
        metrics={**described.metrics, "out_of_fold": metrics.plain(seen)},
    )


def limits(loaded: Bundle, described: Manifest, run: Run, own: Labelled) -> Manifest:
    """Return `described` with what `loaded` refuses and how it outlines, measured anew.

    What it lacks (a check of the distribution, a segmenter) is left out.
    """
    found: dict[str, Any] = {"refusals": refusals.served(Pipeline(loaded), run, own)}
    if loaded.ood is not None and described.ood is not None:
        found["ood"] = refusals.ood_report(
            run,
            own,
            loaded.members[0],
            loaded.ood,
            described.ood.limit,
            predict.photos(run, own.records),
        )
    if loaded.segmenter is not None and run.recipe.segmenter is not None:
        found["segmentation"] = segmentation_report(
            run, own, loaded.segmenter, run.recipe.segmenter
        )[0]
    return replace(described, metrics={**described.metrics, **metrics.plain(found)})
