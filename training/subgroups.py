"""How the figures differ between groups of people, sites and photos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from training import metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.metrics import Bootstrap
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
    *,
    rounds: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Return figures of malignancy for groups of at least 30 photos with both kinds in them.

    `marks` per photo what was found to disturb it, or empty where nobody looked. AUCs with 95%
    intervals by bootstrap over the lesions of the group, `rounds` times.
    """
    lesions = np.array([record.lesion_id for record in records])
    traits = {
        "sex": [record.sex or "unknown" for record in records],
        "age": [age_band(record.age) for record in records],
        "site": [record.site or "unknown" for record in records],
        "dx_type": [record.dx_type or "unknown" for record in records],
    }
    for mark in MARKS if marks else ():
        traits[mark] = ["detected" if mark in found else "none" for found in marks]
    found: dict[str, dict[str, Any]] = {}
    for trait, values in traits.items():
        found[trait] = {}
        for value in np.unique(values):
            here = np.array(values) == value
            ill, said = truth[here], p[here]
            if len(ill) >= _SMALLEST_GROUP and 0 < ill.sum() < len(ill):
                draws = metrics.bootstrap(lesions[here], rounds, seed)
                found[trait][str(value)] = _figures(ill, said, draws)
    return found


def _figures(ill: NDArray[np.bool_], p: NDArray[np.float64], draws: Bootstrap) -> dict[str, Any]:
    return {
        "n": len(ill),
        "malignant": int(ill.sum()),
        "malignant_auc": draws.figure(lambda i: metrics.roc_auc(ill[i], p[i])),
        "mean_p_malignant": float(p.mean()),
    }


def age_band(age: float | None) -> str:
    """Return the band of an age in years."""
    if age is None:
        return "unknown"
    low, high = next(band for band in _AGES if band[0] <= age < band[1])
    return f"{low}-{high - 1}" if high <= _AGES[-1][0] else f"{low}+"
