"""The records of the clinical side."""

from analyses.models.analysis import Analysis, HoldKind, Status
from analyses.models.deletion import DeletionEvent
from analyses.models.lesion import BodySite, Lesion
from analyses.models.result import Result

__all__ = ["Analysis", "BodySite", "DeletionEvent", "HoldKind", "Lesion", "Result", "Status"]
