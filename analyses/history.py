"""Choose from a person's analyses: the filters that the history page and the API share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import uuid
    from datetime import datetime

    from analyses.models.analysis import AnalysisQuerySet


@dataclass(frozen=True, slots=True)
class Filters:
    """What to show; None does not narrow. `created_from` is included, `created_before` is not."""

    status: str | None = None
    category: str | None = None
    image_type: str | None = None
    lesion: uuid.UUID | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None

    def apply(self, analyses: AnalysisQuerySet) -> AnalysisQuerySet:
        """Narrow `analyses`."""
        wanted = {
            "status": self.status,
            "result__category": self.category,
            "image_type": self.image_type,
            "lesion_id": self.lesion,
            "created_at__gte": self.created_from,
            "created_at__lt": self.created_before,
        }
        return analyses.filter(**{name: value for name, value in wanted.items() if value})
