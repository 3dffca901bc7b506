"""From the ensemble's raw mean to the probabilities that the product tells.

One temperature on the logarithm of the mean (Guo 2017, Rahaman 2021), then the bundle's class map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from inference_worker.verdict import CLASSES, MALIGNANT_CLASSES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_MEL: Final = "mel"
_MALIGNANT: Final = "malignant"
_MELANOMA: Final = "melanoma"
_FLOOR: Final = 1e-300  # a probability that underflowed to 0 has a logarithm all the same


class InvalidClassMapError(ValueError):
    """A bundle's class map says nothing about malignancy, or names what there is not."""

    code = "bundle_invalid"


def temper(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return softmax(log p / T) over the last axis; T = 1 changes nothing, T > 1 softens."""
    scaled = np.log(np.maximum(probabilities, _FLOOR)) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


@dataclass(frozen=True, slots=True)
class Opinion:
    """One calibrated opinion. What the bundle does not know is absent or None.

    `probabilities` of the product's classes; `p_malignant`; `p_melanoma`, and
    `p_other_malignant`, what is malignant but no melanoma.
    """

    probabilities: dict[str, float]
    p_malignant: float
    p_melanoma: float | None = None
    p_other_malignant: float | None = None


@dataclass(frozen=True, slots=True)
class ClassMap:
    """Which columns of the model's distribution make up what the product tells."""

    classes: dict[str, tuple[int, ...]]
    malignant: tuple[int, ...]
    melanoma: tuple[int, ...] | None

    def read(self, distribution: NDArray[np.float64]) -> Opinion:
        """Return the opinion that `distribution`, one probability per column, expresses."""
        probabilities = {name: _sum(distribution, at) for name, at in self.classes.items()}
        p_malignant = _sum(distribution, self.malignant)
        if self.melanoma is None:
            return Opinion(probabilities, p_malignant)
        others = tuple(i for i in self.malignant if i not in self.melanoma)
        return Opinion(
            probabilities,
            p_malignant,
            _sum(distribution, self.melanoma),
            _sum(distribution, others),
        )


def read_class_map(class_map: Mapping[str, Sequence[str]], columns: Sequence[str]) -> ClassMap:
    """Resolve a bundle's `class_map`: product class or aggregate → model outputs summed.

    Aggregates are ``malignant`` and ``melanoma``. Without them, malignant is the sum of mel, bcc
    and akiec, all of which must then be there; melanoma is mel, or unknown.
    Raises `InvalidClassMapError`.
    """
    known = {*CLASSES, _MALIGNANT, _MELANOMA}
    if unknown := [key for key in class_map if key not in known]:
        msg = f"the class map names {unknown}: the product knows {sorted(known)}"
        raise InvalidClassMapError(msg)
    at = {key: _indices(key, names, columns) for key, names in class_map.items()}
    classes: dict[str, tuple[int, ...]] = {name: at[name] for name in CLASSES if name in at}
    malignant = at.get(_MALIGNANT)
    if malignant is None:
        if missing := [name for name in MALIGNANT_CLASSES if name not in classes]:
            msg = f"the class map has no `malignant` and lacks {missing} to sum it from: add one"
            raise InvalidClassMapError(msg)
        malignant = tuple(sorted({i for name in MALIGNANT_CLASSES for i in classes[name]}))
    if len(malignant) == len(columns):
        raise InvalidClassMapError("the class map counts every output as malignant: leave one out")
    melanoma = at.get(_MELANOMA) or classes.get(_MEL)
    if melanoma is not None and not set(melanoma) <= set(malignant):
        msg = "the class map counts melanoma outputs that it does not count as malignant"
        raise InvalidClassMapError(msg)
    return ClassMap(classes=classes, malignant=malignant, melanoma=melanoma)


def _indices(key: str, names: Sequence[str], columns: Sequence[str]) -> tuple[int, ...]:
    if not names or len(set(names)) != len(names) or not set(names) <= set(columns):
        msg = f"the class map sums {list(names)} for {key!r}: the outputs are {list(columns)}"
        raise InvalidClassMapError(msg)
    return tuple(list(columns).index(name) for name in names)


def _sum(distribution: NDArray[np.float64], at: tuple[int, ...]) -> float:
    return float(distribution[list(at)].sum().clip(0, 1))
