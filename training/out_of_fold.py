"""The development part, each photo judged by the one member that never saw its lesion.

Temperature and gate are fitted on it. What is certified is a member; what is served is the mean of
all, at a temperature of its own. No photo of the development part is unseen by all members, so the
ensemble cannot be certified on it. Its members can, at the temperature that is served: the bolder
of the two, at which more malignant lesions are decided benign than at their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from inference_worker import manifest
from inference_worker.calibration import temper
from training import calibrate, gate, metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.dataset import Labelled
    from training.labels import Labels
    from training.predict import Predictions


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Opinions of single members on their own folds.

    `p` n × columns, mean over views, uncalibrated; `rows` among the labelled photos and their
    `labels`; `known` says what the columns are; `first` is the position of each lesion's first
    photo; `best_member` has the highest malignancy AUC on its own fold; `temperature` is a single
    member's.
    """

    rows: NDArray[np.int64]
    p: NDArray[np.float64]
    labels: NDArray[np.int64]
    known: Labels
    first: NDArray[np.int64]
    best_member: int
    temperature: float

    @property
    def malignant(self) -> NDArray[np.bool_]:
        """Return which photos show something malignant."""
        return np.isin(self.labels, self.known.class_map.malignant)

    def p_malignant(self, temperature: float) -> NDArray[np.float64]:
        """Return the probability of malignancy of each photo at `temperature`."""
        columns = list(self.known.class_map.malignant)
        return np.asarray(temper(self.p, temperature)[:, columns].sum(1))


def gather(
    own: Labelled, known: Labels, opinions: Sequence[Predictions], weights: Sequence[int]
) -> OutOfFold:
    """Gather each member's opinions of its own fold, and fit a member's temperature to them."""
    folds = [np.array(own.split.of(fold)) for fold in range(len(opinions))]
    means = [o.of(rows).mean(weights) for o, rows in zip(opinions, folds, strict=True)]
    rows, p = np.concatenate(folds), np.concatenate(means)
    malignant = list(known.class_map.malignant)
    aucs = [
        metrics.roc_auc(np.isin(own.labels[fold], malignant), mean[:, malignant].sum(1))
        for fold, mean in zip(folds, means, strict=True)
    ]
    return OutOfFold(
        rows=rows,
        p=p,
        labels=own.labels[rows],
        known=known,
        first=first_of_each(own.lesions(rows)),
        best_member=int(np.nanargmax(aucs)) if np.isfinite(aucs).any() else 0,
        temperature=calibrate.temperature(own.labels[rows], p),
    )


def first_of_each(lesions: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the row of each lesion's first photo."""
    return np.sort(np.unique(lesions, return_index=True)[1])


def certify(found: OutOfFold, served: float) -> manifest.RiskControlledGate | None:
    """Return the gate certified on one photo a lesion, scored at the temperature `served`."""
    score = found.p_malignant(served)
    return gate.certify(found.malignant[found.first], score[found.first])


def figures(
    found: OutOfFold, served: float, certified: manifest.RiskControlledGate | None
) -> dict[str, Any]:
    """Return what was seen while fitting, with what `certify` gave at the temperature `served`."""
    ill, own, told = (
        found.malignant,
        found.p_malignant(found.temperature),
        found.p_malignant(served),
    )
    figures: dict[str, Any] = {
        "judged_by": "single members, each on the fold that it left out",
        "n_images": len(found.rows),
        "n_lesions": len(found.first),
        "temperature": found.temperature,
        "served_temperature": served,
        "malignant_auc": metrics.roc_auc(ill, own),
        "ece_before": metrics.ece(ill, found.p_malignant(1.0)),
        "ece_after": metrics.ece(ill, own),
        "gate": gate.table(ill, told, manifest.FixedGate().threshold).to_dict(),
        "certified": _certified(ill[found.first], told[found.first], certified),
    }
    if melanoma := list(found.known.class_map.melanoma or ()):
        p = temper(found.p, found.temperature)[:, melanoma].sum(1)
        figures["melanoma_auc"] = metrics.roc_auc(np.isin(found.labels, melanoma), p)
    return figures


def _certified(
    ill: NDArray[np.bool_],
    score: NDArray[np.float64],
    certified: manifest.RiskControlledGate | None,
) -> dict[str, Any] | None:
    """Return what the certificate rests on; None without one."""
    if certified is None:
        return None
    row = gate.table(ill, score, certified.threshold)
    missed, total = row.malignant[0], sum(row.malignant)
    return row.to_dict() | {"upper_bound": gate.upper_bound(missed, total, certified.delta)}
