"""Figures of a binary score and of a seven-class opinion. Arrays in, numbers out; no models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from sklearn import metrics as sk

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Bools: TypeAlias = NDArray[np.bool_]
    Integers: TypeAlias = NDArray[np.int64]

READ_AGAIN: Final = "test_read_again"
"""The key in a bundle's metrics that says that its test part was read after its export."""

_FLOOR = 1e-12
_POINTS = 200


def roc_auc(truth: Bools, score: Floats) -> float:
    """Return the area under the ROC curve; NaN where there is one class only."""
    return float(sk.roc_auc_score(truth, score)) if 0 < truth.sum() < len(truth) else float("nan")


def average_precision(truth: Bools, score: Floats) -> float:
    """Return the average precision; NaN without a positive."""
    return float(sk.average_precision_score(truth, score)) if truth.any() else float("nan")


def sensitivity_at(truth: Bools, score: Floats, specificity: float) -> float:
    """Return the highest sensitivity of a threshold whose specificity is at least this.

    NaN where there is one class only.
    """
    if not 0 < truth.sum() < len(truth):
        return float("nan")
    fpr, tpr, _ = sk.roc_curve(truth, score)
    return float(tpr[1 - fpr >= specificity - _FLOOR].max())


def specificity_at(truth: Bools, score: Floats, sensitivity: float) -> float:
    """Return the highest specificity of a threshold whose sensitivity is at least this.

    NaN where there is one class only.
    """
    if not 0 < truth.sum() < len(truth):
        return float("nan")
    fpr, tpr, _ = sk.roc_curve(truth, score)
    return float((1 - fpr)[tpr >= sensitivity - _FLOOR].max())


def balanced_accuracy(labels: Integers, predicted: Integers) -> float:
    """Return the mean recall of the classes that occur in `labels`."""
    recalls = [float(np.mean(predicted[labels == c] == c)) for c in np.unique(labels)]
    return float(np.mean(recalls))


def confusion(labels: Integers, predicted: Integers, classes: int) -> Integers:
    """Return counts, true class × predicted class."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def reliability_bins(truth: Bools, p: Floats, bins: int = 15) -> list[tuple[float, float, int]]:
    """Return (mean p, share of positives, count) of equal-mass bins of rising p."""
    order = np.argsort(p, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [(float(p[i].mean()), float(truth[i].mean()), len(i)) for i in parts]


def ece(truth: Bools, p: Floats, bins: int = 15) -> float:
    """Return the expected calibration error over equal-mass bins (Nixon 2019)."""
    found = reliability_bins(truth, p, bins)
    return sum(n * abs(mean - share) for mean, share, n in found) / len(p)


def brier(truth: Bools, p: Floats) -> float:
    """Return the mean squared error of p."""
    return float(np.mean((p - truth) ** 2))


def binary_nll(truth: Bools, p: Floats) -> float:
    """Return the mean negative log-likelihood of p, in nats."""
    own = np.where(truth, p, 1 - p)
    return float(-np.log(np.clip(own, _FLOOR, 1)).mean())


def nll(labels: Integers, p: Floats) -> float:
    """Return the mean negative log-likelihood of the labels under p, n × classes, in nats."""
    own = p[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(own, _FLOOR, 1)).mean())


def risk_coverage(truth: Bools, p: Floats) -> tuple[Floats, Floats]:
    """Return coverage and the error rate among the most confident, for each count of them."""
    order = np.argsort(-np.maximum(p, 1 - p), kind="stable")
    wrong = ((p >= 0.5) != truth)[order]  # noqa: PLR2004 - the more probable side
    n = np.arange(1, len(p) + 1)
    return n / len(p), np.cumsum(wrong) / n


def aurc(truth: Bools, p: Floats) -> float:
    """Return the area under the risk–coverage curve (Geifman 2017)."""
    return float(risk_coverage(truth, p)[1].mean())


def roc_points(truth: Bools, score: Floats) -> list[list[float]]:
    """Return at most `_POINTS` points (1 − specificity, sensitivity) of the ROC curve."""
    fpr, tpr, _ = sk.roc_curve(truth, score)
    return _thinned(fpr, tpr)


def risk_coverage_points(truth: Bools, p: Floats) -> list[list[float]]:
    """Return at most `_POINTS` points (coverage, error rate)."""
    return _thinned(*risk_coverage(truth, p))


def _thinned(x: Floats, y: Floats) -> list[list[float]]:
    at = np.unique(np.linspace(0, len(x) - 1, _POINTS).round().astype(int))
    return [[round(float(x[i]), 5), round(float(y[i]), 5)] for i in at]


def overlap(found: Bools, truth: Bools) -> tuple[Floats, Floats]:
    """Return Dice and IoU per photo of masks n × height × width; two empty masks agree fully."""
    both = (found & truth).sum((1, 2)).astype(np.float64)
    total = found.sum((1, 2)) + truth.sum((1, 2))
    either = total - both
    dice = np.where(total > 0, 2 * both / np.maximum(total, 1), 1.0)
    iou = np.where(either > 0, both / np.maximum(either, 1), 1.0)
    return dice, iou


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Resamples of `n` photos by lesion, the same for every figure, so that figures pair up."""

    n: int
    draws: list[Integers]

    def figure(self, of: Callable[[Integers], float]) -> dict[str, Any]:
        """Return the figure `of` row numbers as `Sample.figure` does."""
        return self.sample(of).figure()

    def sample(self, of: Callable[[Integers], float]) -> Sample:
        """Return the figure `of` all rows, and of those of each resample."""
        return Sample(of(np.arange(self.n)), np.array([of(rows) for rows in self.draws]))


@dataclass(frozen=True, slots=True)
class Sample:
    """A figure: its `value`, and what it is in each resample (`draws`)."""

    value: float
    draws: Floats

    def __sub__(self, other: Sample) -> Sample:
        """Return the paired difference: both are of the same resamples."""
        return Sample(self.value - other.value, self.draws - other.draws)

    def figure(self, level: float = 0.95) -> dict[str, Any]:
        """Return ``value`` and ``ci``, the percentile interval over the resamples.

        Over those in which the figure could be computed; NaN where there is none.
        """
        known = self.draws[~np.isnan(self.draws)]
        ends = [(1 - level) / 2, (1 + level) / 2]
        low, high = np.quantile(known, ends) if len(known) else (np.nan, np.nan)
        return {"value": self.value, "ci": [float(low), float(high)]}


def bootstrap(lesions: NDArray[np.str_], rounds: int, seed: int) -> Bootstrap:
    """Draw whole lesions with replacement, `rounds` times."""
    _, inverse = np.unique(lesions, return_inverse=True)
    rows = np.argsort(inverse, kind="stable")
    groups = np.split(rows, np.cumsum(np.bincount(inverse))[:-1])
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(groups), size=(rounds, len(groups)))
    return Bootstrap(len(lesions), [np.concatenate([groups[g] for g in one]) for one in drawn])


def paired_auc(truth: Bools, first: Floats, second: Floats, draws: Bootstrap) -> dict[str, Any]:
    """Return by how much the AUC of `first` is above that of `second`, on the same resamples."""
    one, other = (
        draws.sample(lambda i, s=score: roc_auc(truth[i], s[i]))  # type: ignore[misc]
        for score in (first, second)
    )
    return (one - other).figure()


def plain(value: Any) -> Any:
    """Return a report with None for each number that is not finite: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
