"""A person's own analyses as CSV, for their records or for statistics."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any, Final

from inference_worker.verdict import CLASSES, Category

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyses.models import Analysis
    from analyses.models.analysis import AnalysisQuerySet

COLUMNS: Final = (
    "id",
    "created_at",
    "lesion",
    "image",
    "status",
    "category",
    "decided",
    "confidence",
    "p_melanoma",
    "p_malignant",
    *CLASSES,
    *(category.value for category in Category),
    "quality",
)
CHUNK: Final = 200
# What a spreadsheet takes for the beginning of a formula: at the start of a cell, and behind what
# another country's settings take for the end of the cell before (a comma is one in English only).
# The last four are the full-width forms of the first, which some programs read as those.
FORMULA: Final = re.compile(r"""(^|[;,|\t\r\n])([\s"']*)([=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])""")


class _Echo:
    """A file that hands each line straight back."""

    def write(self, line: str) -> str:
        return line


def lines(analyses: AnalysisQuerySet) -> Iterator[str]:
    """Yield the CSV line by line, the header first, oldest analysis first.

    `image` is the SHA-256 of the file as it was sent: its name is not kept. The columns of the
    seven classes are probabilities; those of the four categories are shares of the votes.
    """
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    rows = analyses.select_related("result", "lesion").order_by("created_at", "id")
    for analysis in rows.iterator(chunk_size=CHUNK):
        yield writer.writerow([escaped(cell) for cell in _cells(analysis)])


def escaped(cell: Any) -> Any:
    """Put an apostrophe before whatever in a text a spreadsheet would run as a formula."""
    return FORMULA.sub(r"\1'\2\3", cell) if isinstance(cell, str) else cell


def _cells(analysis: Analysis) -> list[Any]:
    result = analysis.result
    cells: list[Any] = [
        str(analysis.id),
        analysis.created_at.isoformat(),
        analysis.lesion.name if analysis.lesion else "",
        analysis.sha256,
        analysis.status,
    ]
    if result is None:
        empty = len(COLUMNS) - len(cells) - 1
        return [*cells, *([""] * empty), _quality(analysis)]
    votes = sum(result.votes.values())
    return [
        *cells,
        result.category,
        result.decided,
        result.confidence,
        result.p_melanoma,
        result.p_malignant,
        *(result.probabilities.get(name, "") for name in CLASSES),
        *(result.votes[category.value] / votes for category in Category),
        _quality(analysis),
    ]


def _quality(analysis: Analysis) -> str:
    notes = analysis.quality.get("notes", ()) if analysis.quality else ()
    return " ".join([*([analysis.error_code] if analysis.error_code else []), *notes])
