"""All figures of an ensemble on a set of photos that it never saw, with intervals over lesions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from inference_worker.calibration import temper
from inference_worker.verdict import CLASSES, MALIGNANT_CLASSES
from training import gate, metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from training.metrics import Bootstrap
    from training.readers import Record

ROUNDS: Final = 1000
"""Bootstrap rounds."""

SMOKE_ROUNDS: Final = 20

SEED: Final = 20251121
GATE_THRESHOLDS: Final = (0.99, 0.97, 0.95, 0.9, 0.8, 0.7)

_MEL: Final = CLASSES.index("mel")
_MALIGNANT: Final = [CLASSES.index(dx) for dx in MALIGNANT_CLASSES]
_SMALLEST_GROUP: Final = 30
_AGES: Final = ((0, 30), (30, 45), (45, 60), (60, 75), (75, 200))


@dataclass(frozen=True, slots=True)
class Cases:
    """Photos with their truth and what each member said of each view.

    `probabilities` members × n × views × classes, uncalibrated; `weights` how often a view counts,
    the photo as it stands first; `prior` classes, of the development part.
    """

    records: Sequence[Record]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    weights: tuple[int, ...]
    temperature: float
    prior: NDArray[np.float64]

    @property
    def lesions(self) -> NDArray[np.str_]:
        """Return the lesion of each photo."""
        return np.array([record.lesion_id for record in self.records])

    @property
    def malignant(self) -> NDArray[np.bool_]:
        """Return which photos show a malignant lesion."""
        return is_malignant(self.labels)

    @property
    def melanoma(self) -> NDArray[np.bool_]:
        """Return which photos show a melanoma."""
        return np.asarray(self.labels == _MEL)

    def mean(self, members: list[int] | None = None, *, tta: bool = True) -> NDArray[np.float64]:
        """Return the mean of `members` (all) over their views, n × classes, uncalibrated."""
        chosen = self.probabilities if members is None else self.probabilities[members]
        of_members = chosen.astype(np.float64).mean(0)
        if not tta:
            return np.asarray(of_members[:, 0])
        return np.asarray(np.average(of_members, axis=1, weights=self.weights))

    def calibrated(self) -> NDArray[np.float64]:
        """Return what the product would say, n × classes."""
        return temper(self.mean(), self.temperature)


def is_malignant(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which class numbers are malignant."""
    return np.isin(labels, _MALIGNANT)


def p_malignant(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the summed probability of the malignant classes of p, n × classes."""
    return np.asarray(p[:, _MALIGNANT].sum(1))


def report(
    cases: Cases, *, best_member: int, certified: float | None, rounds: int = ROUNDS
) -> dict[str, Any]:
    """Return every figure as plain JSON types; those of the full set with a 95% interval.

    `best_member` was picked on the validation part; `certified` is the risk-controlled threshold.
    """
    draws = metrics.bootstrap(cases.lesions, rounds, SEED)
    p = cases.calibrated()
    ill, p_ill = cases.malignant, p_malignant(p)
    thresholds = [*GATE_THRESHOLDS, *([certified] if certified is not None else [])]
    return {
        "n_images": len(cases.labels),
        "n_lesions": len(set(cases.lesions.tolist())),
        "classes": dict(zip(CLASSES, np.bincount(cases.labels, minlength=7).tolist(), strict=True)),
        "prevalence": {
            "melanoma": float(cases.melanoma.mean()),
            "malignant": float(ill.mean()),
        },
        **_figures(cases, p, draws),
        "calibration": _calibration(cases, draws),
        "confusion": metrics.confusion(cases.labels, p.argmax(1), len(CLASSES)).tolist(),
        "gate": [gate.table(ill, p_ill, threshold).to_dict() for threshold in thresholds],
        "aurc": metrics.aurc(ill, p_ill),
        "curves": {
            "roc": {
                "melanoma": metrics.roc_points(cases.melanoma, p[:, _MEL]),
                "malignant": metrics.roc_points(ill, p_ill),
            },
            "risk_coverage": metrics.risk_coverage_points(ill, p_ill),
        },
        "comparisons": _comparisons(cases, best_member, draws),
        "members": _members(cases),
        "subgroups": _subgroups(cases, p),
    }


def _figures(cases: Cases, p: NDArray[np.float64], draws: Bootstrap) -> dict[str, Any]:
    """Return the figures at full coverage."""
    labels = cases.labels
    by_prior = (p / cases.prior).argmax(1)
    plain = p.argmax(1)
    found = {
        "balanced_accuracy": draws.figure(lambda i: metrics.balanced_accuracy(labels[i], plain[i])),
        "balanced_accuracy_prior_free": draws.figure(
            lambda i: metrics.balanced_accuracy(labels[i], by_prior[i])
        ),
        "accuracy": draws.figure(lambda i: float(np.mean(labels[i] == plain[i]))),
    }
    tasks = {
        "melanoma": (cases.melanoma, p[:, _MEL]),
        "malignant": (cases.malignant, p_malignant(p)),
    }
    for task, (truth, score) in tasks.items():
        found |= _task_figures(task, truth, score, draws)
    return found


def _task_figures(
    task: str,
    truth: NDArray[np.bool_],
    score: NDArray[np.float64],
    draws: Bootstrap,
) -> dict[str, Any]:
    """Return one yes-or-no task's figures."""
    figures: dict[str, Callable[[NDArray[np.int64]], float]] = {
        "auc": lambda i: metrics.roc_auc(truth[i], score[i]),
        "ap": lambda i: metrics.average_precision(truth[i], score[i]),
        "sensitivity_at_90_specificity": lambda i: metrics.sensitivity_at(truth[i], score[i], 0.90),
        "sensitivity_at_95_specificity": lambda i: metrics.sensitivity_at(truth[i], score[i], 0.95),
        "specificity_at_95_sensitivity": lambda i: metrics.specificity_at(truth[i], score[i], 0.95),
    }
    return {f"{task}_{name}": draws.figure(figure) for name, figure in figures.items()}


def _calibration(cases: Cases, draws: Bootstrap) -> dict[str, Any]:
    """Return how far probabilities can be taken at their word, before and after temperature."""
    truth, labels = cases.malignant, cases.labels
    found: dict[str, Any] = {"temperature": cases.temperature}
    for name, p in (("before", cases.mean()), ("after", cases.calibrated())):
        score = p_malignant(p)
        found[name] = {
            "ece": draws.figure(lambda i, s=score: metrics.ece(truth[i], s[i])),  # type: ignore[misc]
            "brier": metrics.brier(truth, score),
            "nll": metrics.binary_nll(truth, score),
            "nll_seven_classes": metrics.nll(labels, p),
            "bins": metrics.reliability_bins(truth, score),
        }
    return found


def _comparisons(cases: Cases, best_member: int, draws: Bootstrap) -> dict[str, Any]:
    """Return paired differences in AUC: ensemble against one member, views against none."""
    whole = cases.mean()
    others = {
        "ensemble_minus_best_member": cases.mean([best_member]),
        "tta_minus_none": cases.mean(tta=False),
    }
    found: dict[str, Any] = {"best_member": best_member}
    for name, other in others.items():
        found[name] = {
            "melanoma_auc": _paired(cases.melanoma, whole[:, _MEL], other[:, _MEL], draws),
            "malignant_auc": _paired(
                cases.malignant, p_malignant(whole), p_malignant(other), draws
            ),
        }
    return found


def _paired(
    truth: NDArray[np.bool_],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    draws: Bootstrap,
) -> dict[str, Any]:
    return draws.figure(
        lambda i: metrics.roc_auc(truth[i], first[i]) - metrics.roc_auc(truth[i], second[i])
    )


def _members(cases: Cases) -> list[dict[str, float]]:
    """Return each member's own AUCs over its views."""
    found = []
    for member in range(len(cases.probabilities)):
        p = cases.mean([member])
        found.append(
            {
                "melanoma_auc": metrics.roc_auc(cases.melanoma, p[:, _MEL]),
                "malignant_auc": metrics.roc_auc(cases.malignant, p_malignant(p)),
            }
        )
    return found


def _subgroups(cases: Cases, p: NDArray[np.float64]) -> dict[str, dict[str, Any]]:
    """Return the malignancy AUC of subgroups with at least 30 photos and both kinds in them."""
    traits = {
        "sex": [record.sex or "unknown" for record in cases.records],
        "age": [_age_band(record.age) for record in cases.records],
        "site": [record.site or "unknown" for record in cases.records],
        "dx_type": [record.dx_type or "unknown" for record in cases.records],
    }
    found: dict[str, dict[str, Any]] = {}
    for trait, values in traits.items():
        found[trait] = {}
        for value, count in sorted(Counter(values).items()):
            here = np.array([v == value for v in values])
            truth = cases.malignant[here]
            if count >= _SMALLEST_GROUP and 0 < truth.sum() < count:
                found[trait][value] = {
                    "n": count,
                    "malignant": int(truth.sum()),
                    "malignant_auc": metrics.roc_auc(truth, p_malignant(p)[here]),
                }
    return found


def _age_band(age: float | None) -> str:
    if age is None:
        return "unknown"
    low, high = next(band for band in _AGES if band[0] <= age < band[1])
    return f"{low}-{high - 1}" if high <= _AGES[-1][0] else f"{low}+"
