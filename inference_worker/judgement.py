"""From the ensemble's opinions to the classification that is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_worker.calibration import temper
from inference_worker.gate import Rule, confidence
from inference_worker.verdict import Category, Classification, Gate, Member

if TYPE_CHECKING:
    from inference_worker import manifest
    from inference_worker.calibration import ClassMap
    from inference_worker.ensemble import Opinions
    from inference_worker.verdict import ImageType


def classify(
    opinions: Opinions,
    class_map: ClassMap,
    *,
    temperature: float,
    gate: manifest.Gate,
    image_type: ImageType,
) -> Classification:
    """Calibrate the mean over members and views, and put it through the active gate.

    Each member's own mean, and each member × view opinion that votes, get the same temperature; the
    votes get the same gate too. Of what comes out only the category is the same whatever engine was
    asked (`exactness.could_differ`): probabilities are within its error, and a vote near the gate
    may fall on the other side of it.
    """
    rule = Rule(threshold=gate.threshold, image_type=image_type)
    told = class_map.read(temper(opinions.mean(), temperature))
    members = [class_map.read(row) for row in temper(opinions.of_members(), temperature)]
    single = temper(opinions.probabilities, temperature)
    votes = rule.count(
        (class_map.read(distribution), int(weight))
        for views in single
        for distribution, weight in zip(views, opinions.weights, strict=True)
    )
    category = rule.categorise(told)
    return Classification(
        category=category,
        decided=category is not Category.SUSPICIOUS,
        confidence=confidence(told),
        gate=Gate(gate.active),
        threshold=gate.threshold,
        p_malignant=told.p_malignant,
        p_melanoma=told.p_melanoma,
        probabilities=told.probabilities,
        members=tuple(Member(m.p_malignant, m.p_melanoma) for m in members),
        votes=votes,
    )
