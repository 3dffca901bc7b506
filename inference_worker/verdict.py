"""What the model side tells the web side: plain values, no torch, no Django.

The one module that both sides import. Every value is JSON-serialisable through `to_dict`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CLASSES: Final = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
"""The seven diagnostic classes (`dx`) of HAM10000, in alphabetical order."""

MALIGNANT_CLASSES: Final = ("mel", "bcc", "akiec")


def columns_of(outputs: Sequence[str], activation: str) -> tuple[str, ...]:
    """Return the names of the distribution's columns; a sigmoid output has its complement first."""
    return (f"not {outputs[0]}", outputs[0]) if activation == "sigmoid" else tuple(outputs)


class Category(StrEnum):
    """The clinical category of a completed analysis."""

    BENIGN = "benign"
    SUSPICIOUS = "suspicious"
    MALIGNANT = "malignant"
    MELANOMA = "melanoma"


class ImageType(StrEnum):
    """How the photo was taken. A clinical photo is always deferred to a human."""

    DERMOSCOPIC = "dermoscopic"
    CLINICAL = "clinical"


class Stage(StrEnum):
    """The five steps of an analysis, in their order, as the page shows them."""

    QUALITY = "quality"
    PREPROCESSING = "preprocessing"
    SEGMENTATION = "segmentation"
    ENSEMBLE = "ensemble"
    HEATMAP = "heatmap"


class Rejection(StrEnum):
    """Why a photo cannot be used. Blames the photo, never the person."""

    TOO_SMALL = "too_small"
    BLURRED = "blurred"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    NO_LESION = "no_lesion"
    OUT_OF_DISTRIBUTION = "out_of_distribution"


class Gate(StrEnum):
    """Which decision rule was active."""

    FIXED = "fixed"
    RISK_CONTROLLED = "risk_controlled"


MAX_OUTLINE = 10_000  # points
_ROUNDING = 1e-6


class InvalidVerdictError(ValueError):
    """A verdict that contradicts itself: a number that is not finite, a share out of range."""


def _are_shares(values: Iterable[float]) -> bool:
    return all(math.isfinite(v) and -_ROUNDING <= v <= 1 + _ROUNDING for v in values)


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured of the photo.

    `short_side` px; `sharpness` variance of the Laplacian; `brightness` mean of L in [0, 1];
    `ood_distance` in the units of the bundle's statistics, None where the check was skipped;
    `notes` codes for the page, such as ``hair`` or ``corners``.
    """

    short_side: int
    sharpness: float
    brightness: float
    ood_distance: float | None = None
    ood_limit: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measurements:
    """ABCD measurements of the lesion, from its mask.

    `area_share` of the frame in [0, 1]; `asymmetry` in [0, 1], 0 symmetric about both axes;
    `border` isoperimetric irregularity ≥ 1, 1 a circle; `colours` of the six dermoscopic colours
    found, 0–6; `diameter_px` largest Feret diameter in px of the upright photo.
    """

    area_share: float
    asymmetry: float
    border: float
    colours: int
    diameter_px: float


@dataclass(frozen=True, slots=True)
class Heatmap:
    """Where the model responded: `grid` of rows in [0, 1], over `box` of the upright photo.

    `box` is (left, top, right, bottom) in shares of width and height: what the model saw of it.
    """

    grid: tuple[tuple[float, ...], ...]
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Member:
    """One member's own opinion, averaged over its views. None: the bundle has no melanoma class."""

    p_malignant: float
    p_melanoma: float | None = None


@dataclass(frozen=True, slots=True)
class Votes:
    """Member × view opinions per category, each put through the same gate."""

    benign: int
    suspicious: int
    malignant: int
    melanoma: int

    @property
    def total(self) -> int:
        """Count all opinions."""
        return self.benign + self.suspicious + self.malignant + self.melanoma

    def share(self, category: Category) -> float:
        """Return the category's share of all opinions in [0, 1]: a column of the CSV."""
        return int(getattr(self, category.value)) / self.total


@dataclass(frozen=True, slots=True)
class BundleRef:
    """Which model bundle said so."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Classification:
    """The ensemble's calibrated opinion and what the gate made of it.

    `confidence` = max(p_malignant, 1 − p_malignant). `probabilities` maps the product's classes to
    [0, 1]; a class that the bundle does not know is absent. What a bundle lacks is None.
    """

    category: Category
    decided: bool
    confidence: float
    gate: Gate
    threshold: float
    p_malignant: float
    p_melanoma: float | None
    probabilities: dict[str, float]
    members: tuple[Member, ...]
    votes: Votes

    def __post_init__(self) -> None:
        shares = [self.confidence, self.threshold, self.p_malignant, *self.probabilities.values()]
        shares += [m.p_malignant for m in self.members]
        shares += [m.p_melanoma for m in self.members if m.p_melanoma is not None]
        if self.p_melanoma is not None:
            shares.append(self.p_melanoma)
        if not _are_shares(shares):
            msg = f"a probability is not a finite number in [0, 1]: {shares}"
            raise InvalidVerdictError(msg)
        if not self.members:
            raise InvalidVerdictError("a classification needs at least one member")
        if self.decided == (self.category is Category.SUSPICIOUS):
            msg = f"decided={self.decided} contradicts category {self.category}"
            raise InvalidVerdictError(msg)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one analysis.

    `rejection` is None when the photo could be used. A rejected photo has a `classification` only
    when the caller asked for the numbers all the same (the command line does).
    `outline` is the lesion's polygon, (x, y) in shares of the upright photo's width and height.
    `timings` are milliseconds per stage.
    """

    bundle: BundleRef
    image_type: ImageType
    width: int
    height: int
    quality: Quality
    rejection: Rejection | None = None
    classification: Classification | None = None
    outline: tuple[tuple[float, float], ...] | None = None
    measurements: Measurements | None = None
    heatmap: Heatmap | None = None
    timings: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rejection is None and self.classification is None:
            raise InvalidVerdictError("a verdict without a rejection needs a classification")
        outline = self.outline or ()
        if len(outline) > MAX_OUTLINE or not _are_shares(v for point in outline for v in point):
            raise InvalidVerdictError("the outline leaves the photo, or has too many points")
        if self.heatmap and not _are_shares(v for row in self.heatmap.grid for v in row):
            raise InvalidVerdictError("the heat map holds a number that is not in [0, 1]")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; enums become their values."""
        return asdict(self)
