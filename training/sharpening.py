"""How much more boldly an ensemble may speak than its members, from photos that none of them saw.

Out of fold, each photo is judged by the one member that left it out: a temperature fitted there is
a single member's. The mean of several is more often right, yet less bold; at that temperature it is
underconfident. By how much shows on a data set that no member was trained on, as the ratio of two
calibration slopes (Cox 1958; Van Calster 2019): what shifts between the data sets shifts both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from sklearn.linear_model import LogisticRegression

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FLOOR: Final = 1e-6
_MOST: Final = 2.0


@dataclass(frozen=True, slots=True)
class Sharpening:
    """Calibration slopes of `ensemble` and of its `members` on `n` photos of `data`."""

    data: str
    n: int
    ensemble: float
    members: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Return by what a single member's temperature is divided to be the ensemble's.

        At least 1, for a mean of opinions is never bolder than they are; at most `_MOST`. It is 1
        where the members do not tell yes from no at all.
        """
        members = float(np.mean(self.members))
        return float(np.clip(self.ensemble / members, 1.0, _MOST)) if members > 0 else 1.0


def sharpening(data: str, truth: NDArray[np.bool_], p: NDArray[np.float64]) -> Sharpening:
    """Return the slopes for `truth` (n) and each member's probability of yes, members × n."""
    return Sharpening(
        data=data,
        n=len(truth),
        ensemble=slope(truth, p.mean(0)),
        members=tuple(slope(truth, one) for one in p),
    )


def slope(truth: NDArray[np.bool_], p: NDArray[np.float64]) -> float:
    """Return the calibration slope of p: 1 where it is as bold as it may be, more if too timid.

    It is the weight of log(p / (1 − p)) in a logistic regression of `truth` with an intercept,
    which takes up a prevalence that differs; 0 where there is one answer only.
    """
    if truth.all() or not truth.any():
        return 0.0
    held = np.clip(p, _FLOOR, 1 - _FLOOR)
    fitted = LogisticRegression(C=np.inf).fit(np.log(held / (1 - held))[:, None], truth)
    return float(fitted.coef_[0, 0])
