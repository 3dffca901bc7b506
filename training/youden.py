"""The threshold at which sensitivity and specificity together are greatest (Youden 1950)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def threshold(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> dict[str, Any]:
    """Return the threshold on `score` with the greatest J = sensitivity + specificity − 1.

    ``score ≥ threshold`` counts as ill. It lies halfway between two neighbouring scores, so that
    rounding moves no photo across; of several with the same J the lowest, which misses fewest.
    To be called with photos that are neither trained nor tested on: out-of-fold, or the validation
    part. Raises ValueError where all photos are ill, or none.
    """
    if truth.all() or not truth.any():
        raise ValueError("Youden's J needs photos of both kinds")
    order = np.argsort(score, kind="stable")
    ill, ordered = truth[order], score[order]
    # A cut before position k calls the k lowest healthy; equal scores are not to be cut apart.
    cuts = np.flatnonzero(np.diff(ordered) > 0) + 1
    if not len(cuts):
        raise ValueError("Youden's J needs more than one score")
    missed = np.cumsum(ill)[cuts - 1] / ill.sum()
    specificity = np.cumsum(~ill)[cuts - 1] / (~ill).sum()
    j = specificity - missed
    best = int(np.argmax(j))
    cut = cuts[best]
    return {
        "threshold": float((ordered[cut - 1] + ordered[cut]) / 2),
        "j": float(j[best]),
        "sensitivity": float(1 - missed[best]),
        "specificity": float(specificity[best]),
        "n_images": len(truth),
    }
