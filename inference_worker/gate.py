"""The gate: what is sure enough to be told, and what a human must see.

A case whose confidence max(p_malignant, 1 − p_malignant) is below the threshold is deferred:
`suspicious`. So is every photo that is not dermoscopic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inference_worker.verdict import Category, ImageType, Votes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inference_worker.calibration import Opinion


@dataclass(frozen=True, slots=True)
class Rule:
    """When an opinion decides: from `threshold` of confidence on, and by the kind of photo."""

    threshold: float
    image_type: ImageType

    def categorise(self, opinion: Opinion) -> Category:
        """Return the category of `opinion`. A confidence of exactly the threshold decides.

        Decided malignant is `melanoma` where melanoma is at least as likely as the other
        malignancies together; a bundle that does not know melanoma says `malignant`.
        """
        if self.image_type is not ImageType.DERMOSCOPIC:
            return Category.SUSPICIOUS
        if not confidence(opinion) >= self.threshold:
            return Category.SUSPICIOUS
        if opinion.p_malignant < 1 - opinion.p_malignant:
            return Category.BENIGN
        if opinion.p_melanoma is None or opinion.p_other_malignant is None:
            return Category.MALIGNANT
        is_melanoma = opinion.p_melanoma >= opinion.p_other_malignant
        return Category.MELANOMA if is_melanoma else Category.MALIGNANT

    def count(self, opinions: Iterable[tuple[Opinion, int]]) -> Votes:
        """Count `opinions`, each with how often it counts, per category."""
        votes = dict.fromkeys(Category, 0)
        for opinion, times in opinions:
            votes[self.categorise(opinion)] += times
        return Votes(**{category.value: number for category, number in votes.items()})


def confidence(opinion: Opinion) -> float:
    """Return max(p_malignant, 1 − p_malignant)."""
    return max(opinion.p_malignant, 1 - opinion.p_malignant)
