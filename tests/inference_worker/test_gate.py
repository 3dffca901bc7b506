"""Calibration, class map and gate: from a distribution to a category."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inference_worker.calibration import (
    InvalidClassMapError,
    Opinion,
    read_class_map,
    temper,
)
from inference_worker.gate import Rule, confidence
from inference_worker.verdict import CLASSES, Category, ImageType, columns_of

SEVEN = {name: [name] for name in CLASSES}


def opinion(p_malignant: float, p_melanoma: float | None = None) -> Opinion:
    others = None if p_melanoma is None else p_malignant - p_melanoma
    return Opinion({}, p_malignant, p_melanoma, others)


def rule(threshold: float = 0.99, image_type: ImageType = ImageType.DERMOSCOPIC) -> Rule:
    return Rule(threshold=threshold, image_type=image_type)


class TestTemperature:
    def test_one_changes_nothing(self) -> None:
        distribution = np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]])
        assert temper(distribution, 1.0) == pytest.approx(distribution)

    def test_it_divides_the_log_odds(self) -> None:
        (yes, no) = temper(np.array([0.9, 0.1]), 2.0)
        assert math.log(yes / no) == pytest.approx(math.log(9) / 2)

    @pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
    def test_probabilities_sum_to_one_and_keep_their_order(self, temperature: float) -> None:
        distribution = np.random.default_rng(0).dirichlet(np.ones(7), 50)
        tempered = temper(distribution, temperature)
        assert tempered.sum(axis=1) == pytest.approx(1)
        assert np.array_equal(tempered.argsort(axis=1), distribution.argsort(axis=1))

    def test_a_probability_of_zero_stays_finite(self) -> None:
        assert np.isfinite(temper(np.array([1.0, 0.0]), 2.0)).all()


class TestClassMap:
    def test_seven_classes_add_up_to_malignant(self) -> None:
        distribution = np.array([0.05, 0.1, 0.2, 0.05, 0.3, 0.2, 0.1])
        read = read_class_map(SEVEN, CLASSES).read(distribution)
        assert read.p_malignant == pytest.approx(0.45)
        assert read.p_melanoma == pytest.approx(0.3)
        assert read.p_other_malignant == pytest.approx(0.15)
        assert sum(read.probabilities.values()) == pytest.approx(1)

    def test_one_sigmoid_output_knows_malignancy_and_no_melanoma(self) -> None:
        columns = columns_of(["malignant"], "sigmoid")
        read = read_class_map({"malignant": ["malignant"]}, columns).read(np.array([0.2, 0.8]))
        assert read == Opinion({}, 0.8)

    def test_two_outputs_know_malignancy(self) -> None:
        class_map = {"malignant": ["malignant"]}
        read = read_class_map(class_map, ["benign", "malignant"]).read(np.array([0.9, 0.1]))
        assert read == Opinion({}, 0.1)

    def test_outputs_are_summed(self) -> None:
        class_map = {"malignant": ["mm", "scc"], "melanoma": ["mm"], "nv": ["a", "b"]}
        read = read_class_map(class_map, ["a", "mm", "b", "scc"]).read(
            np.array([0.1, 0.2, 0.3, 0.4])
        )
        assert read.p_malignant == pytest.approx(0.6)
        assert read.p_melanoma == pytest.approx(0.2)
        assert read.probabilities["nv"] == pytest.approx(0.4)

    @pytest.mark.parametrize(
        "class_map",
        [
            {},
            {"nv": ["nv"]},
            {"mel": ["mel"], "bcc": ["bcc"]},
            {"malignant": ["cancer"]},
            {"malignant": []},
            {"malignant": ["mel", "mel"]},
            {"malignant": ["bcc"], "melanoma": ["mel"]},
            {"malignant": list(CLASSES)},
            {"malignant": ["mel"], "wart": ["bkl"]},
        ],
        ids=str,
    )
    def test_a_map_that_says_nothing_or_nonsense_about_malignancy_is_refused(
        self, class_map: dict[str, list[str]]
    ) -> None:
        with pytest.raises(InvalidClassMapError, match="class map"):
            read_class_map(class_map, CLASSES)


class TestGate:
    def test_a_confidence_of_exactly_the_threshold_decides(self) -> None:
        assert rule(0.75).categorise(opinion(0.75)) is Category.MALIGNANT
        assert rule(0.75).categorise(opinion(0.25)) is Category.BENIGN

    def test_a_hair_below_the_threshold_is_deferred(self) -> None:
        below = math.nextafter(0.75, 0)
        assert rule(0.75).categorise(opinion(below)) is Category.SUSPICIOUS
        assert rule(0.75).categorise(opinion(1 - below)) is Category.SUSPICIOUS

    def test_melanoma_wins_a_tie_with_the_other_malignancies(self) -> None:
        assert rule(0.9).categorise(opinion(1.0, 0.5)) is Category.MELANOMA
        assert rule(0.9).categorise(opinion(1.0, 0.49)) is Category.MALIGNANT

    def test_a_bundle_without_melanoma_says_malignant(self) -> None:
        assert rule().categorise(opinion(0.999)) is Category.MALIGNANT

    def test_a_coin_toss_is_never_benign(self) -> None:
        assert rule(0.5).categorise(opinion(0.5)) is Category.MALIGNANT

    @pytest.mark.parametrize("p_malignant", [0.0, 0.5, 1.0])
    def test_a_photo_that_is_not_dermoscopic_is_always_deferred(self, p_malignant: float) -> None:
        clinical = rule(0.5, ImageType.CLINICAL)
        assert clinical.categorise(opinion(p_malignant)) is Category.SUSPICIOUS

    def test_what_is_not_a_number_is_never_decided(self) -> None:
        assert rule().categorise(opinion(math.nan)) is Category.SUSPICIOUS

    def test_confidence_is_the_larger_side(self) -> None:
        assert confidence(opinion(0.2)) == pytest.approx(0.8)
        assert confidence(opinion(0.7)) == pytest.approx(0.7)

    def test_votes_count_as_often_as_their_views(self) -> None:
        opinions = [(opinion(0.001), 2), (opinion(0.4, 0.2), 1), (opinion(0.999, 0.9), 3)]
        votes = rule().count(opinions)
        assert (votes.benign, votes.suspicious, votes.malignant, votes.melanoma) == (2, 1, 0, 3)
        assert votes.total == 6
