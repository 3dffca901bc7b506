"""Which answers are asked again, told by the gate itself: nothing outside the band may flip."""

from __future__ import annotations

import itertools
import math

import pytest

from inference_worker.calibration import Opinion
from inference_worker.exactness import could_differ
from inference_worker.gate import Rule, confidence
from inference_worker.verdict import Category, Classification, Gate, ImageType, Member

BAND = 0.5
THRESHOLDS = (0.5, 0.6, 0.981, 0.99, 0.9999)


def told(log_odds: float, threshold: float, melanoma: float | None = 0.0) -> Classification:
    """Return an answer with p_malignant and melanoma's share of it given as log-odds."""
    p = 1 / (1 + math.exp(-log_odds))
    part = None if melanoma is None else p / (1 + math.exp(-melanoma))
    others = None if part is None else p - part
    rule = Rule(threshold, ImageType.DERMOSCOPIC)
    opinion = Opinion({}, p, part, others)
    category = rule.categorise(opinion)
    return Classification(
        category=category,
        decided=category is not Category.SUSPICIOUS,
        confidence=confidence(opinion),
        gate=Gate.FIXED,
        threshold=threshold,
        p_malignant=p,
        p_melanoma=part,
        probabilities={},
        members=(Member(p, part),),
        votes=rule.count([(opinion, 1)]),
    )


def near(answer: Classification, band: float = BAND) -> bool:
    return could_differ(answer, ImageType.DERMOSCOPIC, band)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_whatever_is_not_asked_again_keeps_its_category_anywhere_in_the_band(
    threshold: float,
) -> None:
    steps = [index / 20 for index in range(-220, 221)]
    kept = 0
    for at, melanoma in itertools.product(steps, (-1.3, -0.45, 0.0, 0.3, 0.7)):
        answer = told(at, threshold, melanoma)
        if near(answer):
            continue
        kept += 1
        for shift, turn in itertools.product((-0.49, 0.49), (-0.49, 0.49)):
            moved = told(at + shift, threshold, melanoma + turn)
            assert moved.category is answer.category, (at, melanoma, shift, turn)
    assert kept > 500


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("side", [-1, 1])
def test_either_side_of_the_threshold_is_asked_again(threshold: float, side: int) -> None:
    gate = side * math.log(threshold / (1 - threshold))
    assert near(told(gate + 0.49, threshold, 3.0))
    assert near(told(gate - 0.49, threshold, 3.0))


def test_what_is_far_from_all_decisions_is_not() -> None:
    assert not near(told(-8, 0.99))
    assert not near(told(0.3, 0.99))
    assert not near(told(8, 0.99, 2.0))
    assert not near(told(8, 0.99, None))


def test_melanoma_against_the_others_matters_only_where_malignant_is_decided() -> None:
    assert near(told(8, 0.99, 0.1))
    assert not near(told(2, 0.99, 0.1))


def test_a_clinical_photo_is_deferred_whatever_the_numbers() -> None:
    assert not could_differ(told(4.6, 0.99), ImageType.CLINICAL, BAND)


def test_the_reference_itself_is_never_asked_again() -> None:
    assert not near(told(math.log(99), 0.99), band=0.0)


@pytest.mark.parametrize("at", [-800.0, 30.0])
def test_probabilities_of_exactly_0_and_1_have_a_place_too(at: float) -> None:
    answer = told(max(at, -700), 0.99, 40.0)
    assert not near(answer)
