"""From a photo's diagnosis to the model's outputs, and from these to what the product tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inference_worker.calibration import ClassMap, read_class_map
from inference_worker.verdict import CLASSES, MALIGNANT_CLASSES, columns_of
from training.readers import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from training.readers import Record


@dataclass(frozen=True, slots=True)
class Labels:
    """What a recipe's networks are taught to say.

    `columns` of the distribution that a network gives: its outputs, or "not x" and x of a sigmoid
    x; `column` of each diagnosis; `class_map` from columns to the product's classes.
    """

    columns: tuple[str, ...]
    column: dict[str, int]
    class_map: ClassMap

    def of(self, records: Sequence[Record]) -> NDArray[np.int64]:
        """Return the column of each record. Raises `DataError` where its diagnosis has none."""
        if strange := sorted({str(r.dx) for r in records} - set(self.column)):
            raise DataError(
                f"the recipe has no output for {strange}: name them in its 'targets', which has "
                f"{sorted(self.column)}"
            )
        return np.array([self.column[str(r.dx)] for r in records], np.int64)

    def allowed(self, record: Record) -> NDArray[np.bool_]:
        """Return the columns that a label "melanoma, yes or no" allows."""
        fits = [column for dx, column in self.column.items() if (dx == "mel") == record.melanoma]
        found = np.zeros(len(self.columns), np.bool_)
        found[fits] = True
        return found


def labels(
    outputs: Sequence[str],
    activation: str,
    targets: Mapping[str, Sequence[str]],
    class_map: Mapping[str, Sequence[str]],
) -> Labels:
    """Resolve a recipe's `targets`: output → diagnoses. Without any, each class is its own output.

    Diagnoses of no target are negatives of a sigmoid. Raises ValueError where a diagnosis goes to
    two outputs, or a malignant one to what the class map counts as benign, or the reverse.
    """
    columns = columns_of(outputs, activation)
    wanted = targets or {dx: (dx,) for dx in CLASSES}
    if set(wanted) != set(outputs):
        raise ValueError(f"targets are {sorted(wanted)}, the outputs {sorted(outputs)}: each once")
    column = dict.fromkeys(CLASSES, 0) if activation == "sigmoid" else {}
    if activation == "sigmoid":
        column["benign"] = 0
    named = [dx for names in wanted.values() for dx in names]
    if doubled := {dx for dx in named if named.count(dx) > 1}:
        raise ValueError(f"targets name {sorted(doubled)} more than once")
    column |= {dx: columns.index(output) for output, names in wanted.items() for dx in names}
    resolved = read_class_map(class_map, columns)
    crossed = [
        dx
        for dx in CLASSES
        if dx in column and (column[dx] in resolved.malignant) != (dx in MALIGNANT_CLASSES)
    ]
    if crossed:
        raise ValueError(f"targets and class_map together turn {crossed} to the wrong side")
    return Labels(columns, column, resolved)
