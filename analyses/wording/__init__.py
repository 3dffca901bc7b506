"""All clinical wording: reviewed text, in one place, translatable.

Never in here: "safe", "all clear", "harmless", "diagnosis", a certainty, or a bare percentage where
a natural frequency ("about 6 in 100") belongs. `tests/analyses_pages` holds the pages to it.
"""

from analyses.wording.consents import HOLD_CHOICES, HOLD_WORDING_VERSION, HoldChoice
from analyses.wording.frequency import (
    decimal,
    in_hundred,
    of_opinions,
    per_hundred,
    short_in_hundred,
)
from analyses.wording.outcomes import (
    ABCDE,
    ALWAYS_SEE_A_DOCTOR,
    FILTERS,
    WARNINGS,
    Outcome,
    Warnings,
    outcome_of,
    tone_of,
)
from analyses.wording.refusals import Refusal, failure_of, rejection_of
from analyses.wording.reviews import ABOVE_THE_MODEL
from analyses.wording.terms import (
    CLASS_NAMES,
    IMAGE_TYPES,
    MEASUREMENTS,
    QUALITY_NOTES,
    STAGES,
    gate_name,
)

__all__ = [
    "ABCDE",
    "ABOVE_THE_MODEL",
    "ALWAYS_SEE_A_DOCTOR",
    "CLASS_NAMES",
    "FILTERS",
    "HOLD_CHOICES",
    "HOLD_WORDING_VERSION",
    "IMAGE_TYPES",
    "MEASUREMENTS",
    "QUALITY_NOTES",
    "STAGES",
    "WARNINGS",
    "HoldChoice",
    "Outcome",
    "Refusal",
    "Warnings",
    "decimal",
    "failure_of",
    "gate_name",
    "in_hundred",
    "of_opinions",
    "outcome_of",
    "per_hundred",
    "rejection_of",
    "short_in_hundred",
    "tone_of",
]
