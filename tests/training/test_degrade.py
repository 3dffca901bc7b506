from __future__ import annotations

import numpy as np
import pytest

from tests.training import drawn
from training import decision, degrade, marks, robustness, subgroups
from training.readers import Record

PHOTO = drawn.lesion(5, (240, 180))[0]


@pytest.mark.parametrize("kind", degrade.KINDS)
def test_a_degraded_photo_is_another_of_the_same_shape_and_the_same_each_time(kind: str) -> None:
    before = PHOTO.copy()

    found = degrade.degrade(kind, PHOTO, 1)

    assert (before == PHOTO).all()
    assert (found.shape, found.dtype) == (PHOTO.shape, np.uint8)
    assert (found != PHOTO).any() == (kind != degrade.AS_IT_COMES)
    assert (found == degrade.degrade(kind, PHOTO, 1)).all()


def test_brightness_goes_the_way_that_is_said() -> None:
    mean = {kind: degrade.degrade(kind, PHOTO, 1).mean() for kind in degrade.KINDS}

    assert mean["30% darker"] == pytest.approx(0.7 * mean[degrade.AS_IT_COMES], rel=0.02)
    assert mean["30% brighter"] > mean[degrade.AS_IT_COMES] > mean["corners drawn on"]


def test_each_step_is_left_out_or_added_once() -> None:
    found = robustness.cleanings_of([("hair", {"threshold": 12})])

    assert found["without hair"] == []
    assert found["with clahe"] == [("hair", {"threshold": 12}), ("clahe", {})]
    assert "with hair" not in found


def test_a_ruler_is_seen_and_bare_skin_is_none() -> None:
    ruled = PHOTO.copy()
    ruled[:14, 4::10] = 30

    assert marks.has_ruler(ruled)
    assert not marks.has_ruler(PHOTO)


def test_net_benefit_weighs_false_alarms_by_the_odds() -> None:
    truth = np.array([True, True, False, False, False])
    p = np.array([0.9, 0.3, 0.6, 0.1, 0.1])

    assert decision.net_benefit(truth, p, 0.5) == pytest.approx(1 / 5 - 1 / 5)
    assert decision.net_benefit(truth, p, 0.2) == pytest.approx(2 / 5 - 1 / 5 * 0.25)
    curve = decision.curve(truth, p)
    assert curve[0]["everybody"] == pytest.approx(2 / 5 - 3 / 5 * 0.01 / 0.99)


def test_a_subgroup_needs_thirty_photos_of_both_kinds() -> None:
    sexes = ["male"] * 40 + ["female"] * 29 + [""] * 31
    records = [Record(f"{i}", f"{i}", "", "", sex=sex, age=50.0) for i, sex in enumerate(sexes)]
    truth = np.arange(100) % 2 == 0
    truth[69:] = False
    found = subgroups.report(records, (), truth, truth.astype(float), rounds=20, seed=1)

    assert set(found["sex"]) == {"male"}
    assert found["sex"]["male"]["malignant_auc"] == {"value": 1.0, "ci": [1.0, 1.0]}
    assert found["age"]["45-59"]["n"] == 100
    assert "hair" not in found


def test_what_was_found_on_a_photo_makes_a_group() -> None:
    records = [Record(f"{i}", f"{i}", "", "") for i in range(80)]
    truth = np.arange(80) % 2 == 0
    found = subgroups.report(
        records, [("hair",)] * 40 + [()] * 40, truth, truth.astype(float), rounds=20, seed=1
    )

    assert {name: one["n"] for name, one in found["hair"].items()} == {"detected": 40, "none": 40}
