"""All figures of an ensemble on a set of photos that it never saw, with intervals over lesions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from inference_worker.calibration import temper
from training import decision, gate, metrics, subgroups

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from inference_worker.calibration import ClassMap
    from training.labels import Labels
    from training.metrics import Bootstrap
    from training.readers import Record

    Measure: TypeAlias = Callable[[NDArray[np.int64]], float]

ROUNDS: Final = 1000
"""Bootstrap rounds."""

SMOKE_ROUNDS: Final = 20

SEED: Final = 20251121
GATE_THRESHOLDS: Final = (0.99, 0.97, 0.95, 0.9, 0.8, 0.7)


@dataclass(frozen=True, slots=True)
class Cases:
    """Photos with their truth and what each member said of each view.

    `known` says what the columns are, `labels` which one is each photo's; `probabilities` members ×
    n × views × columns, uncalibrated; `weights` how often a view counts, the photo as it stands
    first; `prior` columns, of the development part; `marks` per photo what disturbs it.
    """

    records: Sequence[Record]
    known: Labels
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    weights: tuple[int, ...]
    temperature: float
    prior: NDArray[np.float64]
    marks: Sequence[tuple[str, ...]] = ()

    @property
    def class_map(self) -> ClassMap:
        """Return which columns are malignant, and which melanoma."""
        return self.known.class_map

    @property
    def lesions(self) -> NDArray[np.str_]:
        """Return the lesion of each photo."""
        return np.array([record.lesion_id for record in self.records])

    @property
    def tasks(self) -> dict[str, tuple[int, ...]]:
        """Return the columns summed for each yes-or-no question that the model answers."""
        found = {"melanoma": self.class_map.melanoma, "malignant": self.class_map.malignant}
        return {name: columns for name, columns in found.items() if columns}

    def truth(self, task: str = "malignant") -> NDArray[np.bool_]:
        """Return for which photos the answer is yes."""
        return np.isin(self.labels, self.tasks[task])

    def score(self, p: NDArray[np.float64], task: str = "malignant") -> NDArray[np.float64]:
        """Return the probability of yes in p, n × columns."""
        return np.asarray(p[:, list(self.tasks[task])].sum(1))

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


def report(
    cases: Cases, *, best_member: int, certified: float | None, rounds: int = ROUNDS
) -> dict[str, Any]:
    """Return every figure as plain JSON types; those of the full set with a 95% interval.

    `best_member` was picked on the validation part; `certified` is the risk-controlled threshold.
    """
    draws = metrics.bootstrap(cases.lesions, rounds, SEED)
    p = cases.calibrated()
    ill, p_ill = cases.truth(), cases.score(p)
    columns = cases.known.columns
    thresholds = [*GATE_THRESHOLDS, *([certified] if certified is not None else [])]
    counts = np.bincount(cases.labels, minlength=len(columns)).tolist()
    return {
        "n_images": len(cases.labels),
        "n_lesions": len(set(cases.lesions.tolist())),
        "classes": dict(zip(columns, counts, strict=True)),
        "prevalence": {task: float(cases.truth(task).mean()) for task in cases.tasks},
        **figures(cases, p, draws),
        "calibration": _calibration(cases, draws),
        "confusion": metrics.confusion(cases.labels, p.argmax(1), len(columns)).tolist(),
        "gate": [gate.table(ill, p_ill, threshold).to_dict() for threshold in thresholds],
        "aurc": draws.figure(lambda i: metrics.aurc(ill[i], p_ill[i])),
        "curves": {
            "roc": {
                task: metrics.roc_points(cases.truth(task), cases.score(p, task))
                for task in cases.tasks
            },
            "risk_coverage": metrics.risk_coverage_points(ill, p_ill),
            "decision": decision.curve(ill, p_ill),
        },
        "comparisons": _comparisons(cases, best_member, draws),
        "members": [
            _of_member(cases, cases.mean([i]), draws) for i in range(len(cases.probabilities))
        ],
        "subgroups": subgroups.report(
            cases.records, cases.marks, ill, p_ill, rounds=rounds, seed=SEED
        ),
    }


def figures(cases: Cases, p: NDArray[np.float64], draws: Bootstrap) -> dict[str, Any]:
    """Return the figures of p, n × columns, at full coverage, each with its interval."""
    measures = measures_of(cases, p)
    return {name: draws.figure(measure) for name, measure in measures.items()}


def measures_of(cases: Cases, p: NDArray[np.float64]) -> dict[str, Measure]:
    """Return each figure at full coverage as a function of the rows that it is taken over."""
    labels, plain = cases.labels, p.argmax(1)
    by_prior = (p / cases.prior).argmax(1)
    found: dict[str, Measure] = {
        "balanced_accuracy": lambda i: metrics.balanced_accuracy(labels[i], plain[i]),
        "balanced_accuracy_prior_free": lambda i: metrics.balanced_accuracy(labels[i], by_prior[i]),
        "accuracy": lambda i: float(np.mean(labels[i] == plain[i])),
    }
    for task in cases.tasks:
        own = _measures_of_task(cases.truth(task), cases.score(p, task))
        found |= {f"{task}_{name}": measure for name, measure in own.items()}
    return found


def _measures_of_task(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> dict[str, Measure]:
    return {
        "auc": lambda i: metrics.roc_auc(truth[i], score[i]),
        "ap": lambda i: metrics.average_precision(truth[i], score[i]),
        "sensitivity_at_90_specificity": lambda i: metrics.sensitivity_at(truth[i], score[i], 0.90),
        "sensitivity_at_95_specificity": lambda i: metrics.sensitivity_at(truth[i], score[i], 0.95),
        "specificity_at_95_sensitivity": lambda i: metrics.specificity_at(truth[i], score[i], 0.95),
    }


def _calibration(cases: Cases, draws: Bootstrap) -> dict[str, Any]:
    """Return how far probabilities can be taken at their word, before and after temperature."""
    truth, labels = cases.truth(), cases.labels
    found: dict[str, Any] = {"temperature": cases.temperature}
    for name, p in (("before", cases.mean()), ("after", cases.calibrated())):
        score = cases.score(p)
        found[name] = {
            "ece": draws.figure(lambda i, s=score: metrics.ece(truth[i], s[i])),  # type: ignore[misc]
            "brier": draws.figure(lambda i, s=score: metrics.brier(truth[i], s[i])),  # type: ignore[misc]
            "nll": draws.figure(lambda i, s=score: metrics.binary_nll(truth[i], s[i])),  # type: ignore[misc]
            "nll_seven_classes": draws.figure(lambda i, q=p: metrics.nll(labels[i], q[i])),  # type: ignore[misc]
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
            f"{task}_auc": metrics.paired_auc(
                cases.truth(task), cases.score(whole, task), cases.score(other, task), draws
            )
            for task in cases.tasks
        }
    return found


def _of_member(cases: Cases, p: NDArray[np.float64], draws: Bootstrap) -> dict[str, Any]:
    """Return the figures of one member, whose p is n × columns, each with its interval.

    Those that do not depend on a temperature, which a single member has none of.
    """
    wanted = (*(f"{task}_auc" for task in cases.tasks), "balanced_accuracy", "accuracy")
    measures = measures_of(cases, p)
    return {name: draws.figure(measures[name]) for name in wanted}
