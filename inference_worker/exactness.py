"""Whether an answer of limited precision lies so near a decision that a better one could differ.

Distances are in log-odds: there, a network's rounding errors stay of one size, where as a
probability they shrink towards 0 and 1, which is where the gate decides.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from inference_worker.verdict import ImageType

if TYPE_CHECKING:
    from inference_worker.verdict import Classification

_FLOOR: Final = 1e-12


def could_differ(told: Classification, image_type: ImageType, band: float) -> bool:
    """Tell whether a change of `band` in log-odds could give `told` another category.

    The decisions are the gate's threshold on either side, one half where the gate lets both
    through, and melanoma against the other malignancies together. A photo that is not dermoscopic
    is always deferred. The category alone is kept so: each opinion that votes goes through the gate
    by itself, and one that lies near it may vote otherwise than in the reference.
    """
    if band <= 0 or image_type is not ImageType.DERMOSCOPIC:
        return False
    malignant = log_odds(told.p_malignant, 1 - told.p_malignant)
    gate = max(0.0, log_odds(told.threshold, 1 - told.threshold))
    if abs(abs(malignant) - gate) <= band:
        return True
    if told.p_melanoma is None or malignant < gate:
        return False
    return abs(_melanoma(told.p_malignant, told.p_melanoma)) <= band


def distance(one: Classification, other: Classification) -> float:
    """Return how far two answers lie apart in log-odds of what is decided.

    Malignant against benign; and where either could be told, melanoma against other malignancies.
    """
    malignant = [log_odds(told.p_malignant, 1 - told.p_malignant) for told in (one, other)]
    apart = abs(malignant[0] - malignant[1])
    if max(malignant) < 0 or one.p_melanoma is None or other.p_melanoma is None:
        return apart
    return max(
        apart,
        abs(
            _melanoma(one.p_malignant, one.p_melanoma)
            - _melanoma(other.p_malignant, other.p_melanoma)
        ),
    )


def log_odds(yes: float, no: float) -> float:
    """Return log(yes / no), both floored: no probability is nearer to 0 than 1e-12."""
    return math.log(max(yes, _FLOOR) / max(no, _FLOOR))


def _melanoma(p_malignant: float, p_melanoma: float) -> float:
    """Return the log-odds of melanoma against the other malignancies together."""
    return log_odds(p_melanoma, max(0.0, p_malignant - p_melanoma))
