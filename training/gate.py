"""What the gate does to a set of cases, and the threshold whose risk can be certified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import beta

from inference_worker.manifest import RiskControlledGate

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class GateTable:
    """Counts at one `threshold`: truth × (decided benign, deferred, decided malignant).

    A deferred case is in its own column: it was neither caught nor missed.
    """

    threshold: float
    benign: tuple[int, int, int]
    malignant: tuple[int, int, int]

    @property
    def coverage(self) -> float:
        """Return the share of all cases that are decided."""
        deferred = self.benign[1] + self.malignant[1]
        return 1 - deferred / (sum(self.benign) + sum(self.malignant))

    @property
    def selective_sensitivity(self) -> float:
        """Return the share of the decided malignant cases that are decided malignant."""
        return _share(self.malignant[2], self.malignant[0] + self.malignant[2])

    @property
    def selective_specificity(self) -> float:
        """Return the share of the decided benign cases that are decided benign."""
        return _share(self.benign[0], self.benign[0] + self.benign[2])

    @property
    def sensitivity_deferred_missed(self) -> float:
        """Return the share of all malignant cases that are decided malignant."""
        return _share(self.malignant[2], sum(self.malignant))

    @property
    def sensitivity_deferred_referred(self) -> float:
        """Return the share of all malignant cases that are decided malignant or deferred."""
        return _share(self.malignant[1] + self.malignant[2], sum(self.malignant))

    def to_dict(self) -> dict[str, object]:
        """Return counts and shares as plain JSON types."""
        names = ("decided_benign", "deferred", "decided_malignant")
        return {
            "threshold": self.threshold,
            "benign": dict(zip(names, self.benign, strict=True)),
            "malignant": dict(zip(names, self.malignant, strict=True)),
            "coverage": self.coverage,
            "selective_sensitivity": self.selective_sensitivity,
            "selective_specificity": self.selective_specificity,
            "sensitivity_deferred_missed": self.sensitivity_deferred_missed,
            "sensitivity_deferred_referred": self.sensitivity_deferred_referred,
        }


def table(
    malignant: NDArray[np.bool_], p_malignant: NDArray[np.float64], threshold: float
) -> GateTable:
    """Put cases through the gate that decides where max(p, 1 − p) ≥ `threshold`."""
    decided = np.maximum(p_malignant, 1 - p_malignant) >= threshold
    side = np.where(decided, np.where(p_malignant > 1 - p_malignant, 2, 0), 1)
    benign, ill = (
        np.bincount(side[malignant == truth], minlength=3).tolist() for truth in (False, True)
    )
    return GateTable(threshold, tuple(benign), tuple(ill))


def certify(
    malignant: NDArray[np.bool_],
    p_malignant: NDArray[np.float64],
    *,
    alpha: float = 0.01,
    delta: float = 0.05,
) -> RiskControlledGate | None:
    """Return the lowest threshold whose risk is certified, or None.

    The risk is P(decided benign | malignant). Learn-then-Test (Angelopoulos 2021) by fixed-sequence
    testing: thresholds are tried from 1 downwards, each by the exact binomial upper bound
    (Clopper–Pearson) of its risk at level `delta`, and the first that fails ends the search; so the
    bound holds at the chosen one with confidence 1 − `delta`, for cases exchangeable with these.
    One case per lesion makes them independent.
    """
    total = int(malignant.sum())
    chosen: float | None = None
    for threshold in np.round(np.arange(0.9995, 0.4999, -0.0005), 4):
        missed = int((malignant & (1 - p_malignant >= threshold)).sum())
        if upper_bound(missed, total, delta) > alpha:
            break
        chosen = float(threshold)
    if chosen is None:
        return None
    return RiskControlledGate(
        threshold=chosen,
        alpha=alpha,
        delta=delta,
        coverage=table(malignant, p_malignant, chosen).coverage,
    )


def upper_bound(events: int, total: int, delta: float) -> float:
    """Return the Clopper–Pearson upper bound of a rate at confidence 1 − `delta`."""
    return 1.0 if events >= total else float(beta.ppf(1 - delta, events + 1, total - events))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
