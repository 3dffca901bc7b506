"""What the gate does to a set of cases, and the threshold whose risk can be certified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.stats import beta

from inference_worker.manifest import RiskControlledGate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

SHARES: Final = (
    "coverage",
    "selective_sensitivity",
    "selective_specificity",
    "sensitivity_deferred_missed",
    "sensitivity_deferred_referred",
)
"""What a row tells beside its counts."""


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

    def to_dict(self) -> dict[str, Any]:
        """Return counts, shares and the intervals of these as plain JSON types."""
        names = ("decided_benign", "deferred", "decided_malignant")
        return with_intervals(
            {
                "threshold": self.threshold,
                "benign": dict(zip(names, self.benign, strict=True)),
                "malignant": dict(zip(names, self.malignant, strict=True)),
                **{name: getattr(self, name) for name in SHARES},
            }
        )


def with_intervals(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `GateTable.to_dict` with ``ci``: the 95% interval of each of its shares.

    They follow from the counts, so that rows of older bundles get theirs too. A share of nothing
    has none.
    """
    benign, ill = row["benign"], row["malignant"]
    decided = benign["decided_benign"] + benign["decided_malignant"]
    decided_ill = ill["decided_benign"] + ill["decided_malignant"]
    all_ill = decided_ill + ill["deferred"]
    parts = {
        "coverage": (decided + decided_ill, decided + benign["deferred"] + all_ill),
        "selective_sensitivity": (ill["decided_malignant"], decided_ill),
        "selective_specificity": (benign["decided_benign"], decided),
        "sensitivity_deferred_missed": (ill["decided_malignant"], all_ill),
        "sensitivity_deferred_referred": (all_ill - ill["decided_benign"], all_ill),
    }
    found = {name: list(interval(*part)) for name, part in parts.items() if part[1]}
    return {**row, "ci": found}


def interval(events: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval (Clopper–Pearson 1934) of a rate of `events` in `total` > 0.

    For independent cases; several photos of one lesion are a little less than that.
    """
    tail = (1 - level) / 2
    low = 0.0 if events == 0 else float(beta.ppf(tail, events, total - events + 1))
    return low, upper_bound(events, total, tail)


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
