"""What storing a member's weights in a bundle changes, on the fold that the member left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from training import checkpoint, evaluate, metrics, networks, predict
from training.loop import FINAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.dataset import Labelled
    from training.fit import Run

MEMBER: Final = 0


def report(run: Run, own: Labelled, pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """Return the largest change of any probability, and what the AUCs change by, with intervals.

    Of the first member alone and of photos as they stand: five members and nine views change less.
    Weights are compared at full precision, lest the rounding of activations hide that of weights.
    """
    rows = np.array(own.split.of(MEMBER))
    full = networks.classifier(run.recipe.network(MEMBER).classifier, len(run.recipe.outputs), None)
    checkpoint.load_weights(run.member(MEMBER) / FINAL, full)
    full.to(run.device).eval()
    before, after = (
        predict.plain(predict.ready(model, run, len(rows), "float32"), pixels[rows], run)
        for model in (full, predict.load_member(run, MEMBER))
    )
    rounds = evaluate.SMOKE_ROUNDS if run.smoke else evaluate.ROUNDS
    draws = metrics.bootstrap(own.lesions(rows), rounds, evaluate.SEED)
    found: dict[str, Any] = {
        "kept_as": run.recipe.storage,
        "n_images": len(rows),
        "max_change_of_p": float(np.abs(after - before).max()),
    }
    known = run.recipe.labels.class_map
    for task, columns in (("melanoma", known.melanoma), ("malignant", known.malignant)):
        if columns:
            truth = np.isin(own.labels[rows], columns)
            found[f"{task}_auc"] = metrics.paired_auc(
                truth, after[:, list(columns)].sum(1), before[:, list(columns)].sum(1), draws
            )
    return found
