"""What a threshold is worth to patients: decision curve analysis (Vickers 2006)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

THRESHOLDS: Final = np.round(np.arange(0.01, 0.61, 0.01), 2)
"""Odds at which a person would rather be seen for nothing than be missed: 1:99 to 60:40."""


def net_benefit(truth: NDArray[np.bool_], p: NDArray[np.float64], threshold: float) -> float:
    """Return true positives less weighed false ones, per photo, of referring where p ≥ `threshold`.

    The weight of a false positive is the odds of the threshold: what a person who acts at that
    probability holds it to be worth.
    """
    referred = p >= threshold
    true = float(np.mean(referred & truth))
    false = float(np.mean(referred & ~truth))
    return true - false * threshold / (1 - threshold)


def curve(truth: NDArray[np.bool_], p: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Return net benefit per threshold: of the model, of referring everybody, of nobody (0)."""
    everybody = np.ones(len(truth))
    return [
        {
            "threshold": float(threshold),
            "model": net_benefit(truth, p, float(threshold)),
            "everybody": net_benefit(truth, everybody, float(threshold)),
        }
        for threshold in THRESHOLDS
    ]
