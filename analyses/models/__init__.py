"""The records of the clinical side."""

from analyses.models.analysis import Analysis, FailureCode, HoldKind, Status
from analyses.models.deletion import DeletionEvent
from analyses.models.lesion import BodySite, Lesion
from analyses.models.result import Result
from analyses.models.review import Advice, Opinion, Reveal, Review
from analyses.models.tombstone import Tombstone

__all__ = [
    "Advice",
    "Analysis",
    "BodySite",
    "DeletionEvent",
    "FailureCode",
    "HoldKind",
    "Lesion",
    "Opinion",
    "Result",
    "Reveal",
    "Review",
    "Status",
    "Tombstone",
]
