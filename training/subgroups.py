"""How the figures differ between groups of people, sites and photos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from training import metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.readers import Record

MARKS: Final = ("hair", "corners", "ruler")
"""What may disturb a photo and is looked for in it."""

_SMALLEST_GROUP: Final = 30
_AGES: Final = ((0, 30), (30, 45), (45, 60), (60, 75), (75, 200))


def report(
    records: Sequence[Record],
    marks: Sequence[tuple[str, ...]],
    truth: NDArray[np.bool_],
    p: NDArray[np.float64],
) -> dict[str, dict[str, Any]]:
    """Return figures of malignancy for groups of at least 30 photos with both kinds in them.

    `marks` per photo what was found to disturb it, or empty where nobody looked.
    """
    traits = {
        "sex": [record.sex or "unknown" for record in records],
        "age": [age_band(record.age) for record in records],
        "site": [record.site or "unknown" for record in records],
        "dx_type": [record.dx_type or "unknown" for record in records],
    }
    for mark in MARKS if marks else ():
        traits[mark] = ["detected" if mark in found else "none" for found in marks]
    return {trait: _of_groups(np.array(values), truth, p) for trait, values in traits.items()}


def _of_groups(
    values: NDArray[np.str_], truth: NDArray[np.bool_], p: NDArray[np.float64]
) -> dict[str, Any]:
    found = {}
    for value in np.unique(values):
        here = values == value
        ill = truth[here]
        if len(ill) >= _SMALLEST_GROUP and 0 < ill.sum() < len(ill):
            found[str(value)] = {
                "n": len(ill),
                "malignant": int(ill.sum()),
                "malignant_auc": metrics.roc_auc(ill, p[here]),
                "mean_p_malignant": float(p[here].mean()),
            }
    return found


def age_band(age: float | None) -> str:
    """Return the band of an age in years."""
    if age is None:
        return "unknown"
    low, high = next(band for band in _AGES if band[0] <= age < band[1])
    return f"{low}-{high - 1}" if high <= _AGES[-1][0] else f"{low}+"
