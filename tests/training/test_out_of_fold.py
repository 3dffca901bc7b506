"""What is fitted on members' own folds, and at which temperature a gate is certified."""

from __future__ import annotations

import numpy as np
import pytest

from inference_worker.verdict import CLASSES
from tests.training.test_compare import LABELS
from training import gate, out_of_fold
from training.dataset import Labelled
from training.predict import Predictions
from training.readers import Record
from training.splits import TEST, Split

FOLDS = 2
MEL, NV = CLASSES.index("mel"), CLASSES.index("nv")


def gathered(n: int = 6000) -> out_of_fold.OutOfFold:
    """Return two members' opinions: each photo twice, a third of the lesions melanomas."""
    rng = np.random.default_rng(0)
    ill = np.repeat(rng.random(n // 2) < 1 / 3, 2)
    labels = np.where(ill, MEL, NV).astype(np.int64)
    # Honest log-odds, and beside the two classes a little for the others.
    odds = rng.normal(np.where(ill, 3.0, -3.0), 6**0.5)
    p = np.full((n, 1, len(CLASSES)), 1e-6)
    p[:, 0, MEL] = 1 / (1 + np.exp(-odds + np.log(2)))
    p[:, 0, NV] = 1 - p[:, 0, MEL]
    fold = tuple(TEST if i < 100 else (i // 2) % FOLDS for i in range(n))
    records = [Record(f"photo-{i}", f"lesion-{i // 2}", "drawn", "") for i in range(n)]
    own = Labelled(records, labels, Split(fold, ""))
    rows = np.arange(n)
    opinions = [Predictions(rows, p.astype(np.float32)) for _ in range(FOLDS)]
    # What a member says of the other's fold must not matter.
    opinions[1] = Predictions(rows, np.where((rows // 2 % 2 == 1)[:, None, None], p, 1 / 7))
    return out_of_fold.gather(own, LABELS, opinions, (1,))


def test_each_photo_is_judged_by_the_member_that_left_it_out_and_no_test_photo_is() -> None:
    found = gathered()

    assert len(found.rows) == 5900
    assert len(set(found.rows.tolist())) == 5900
    assert found.rows.min() == 100
    assert found.p.max(1).mean() > 0.85  # 1 / 7 where a member judged the other's fold
    assert found.temperature == pytest.approx(1.0, abs=0.1)


def test_the_gate_is_certified_on_one_photo_of_each_lesion_at_the_temperature_served() -> None:
    found = gathered()

    own, served = (out_of_fold.certify(found, t) for t in (found.temperature, 0.8))

    assert own is not None
    assert served is not None
    # Bolder scores need a higher threshold for the same bound: the old one would not do.
    assert served.threshold > own.threshold
    ill, score = found.malignant[found.first], found.p_malignant(0.8)[found.first]
    missed, total = gate.table(ill, score, own.threshold).malignant[0], int(ill.sum())
    assert gate.upper_bound(missed, total, 0.05) > 0.01
    assert len(found.first) == 2950


def test_the_figures_say_who_was_judged_at_which_temperature() -> None:
    found = gathered()
    certified = out_of_fold.certify(found, 0.8)
    assert certified is not None

    told = out_of_fold.figures(found, 0.8, certified)

    assert "single members" in told["judged_by"]
    assert told["served_temperature"] == 0.8
    assert told["n_lesions"] == 2950
    bound = told["certified"]
    assert bound["threshold"] == certified.threshold
    assert bound["coverage"] == certified.coverage
    assert sum(bound["malignant"].values()) == int(found.malignant[found.first].sum())
    assert 0 < bound["upper_bound"] <= 0.01
    fixed = gate.table(found.malignant, found.p_malignant(0.8), 0.99)
    assert told["gate"] == fixed.to_dict()
    assert told["gate"] != gate.table(found.malignant, found.p_malignant(1.0), 0.99).to_dict()


def test_where_nothing_can_be_certified_the_figures_say_nothing_of_it() -> None:
    assert out_of_fold.figures(gathered(600), 0.8, None)["certified"] is None
