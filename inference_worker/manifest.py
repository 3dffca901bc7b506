"""What `bundle.json` says, as frozen dataclasses (schema version 1). No torch in here.

Each class checks what its fields mean; `inference_worker.typed` checks their types.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from inference_worker.verdict import CLASSES

SCHEMA_VERSION: Final = 1
GLUON_MOBILENET: Final = "mobilenetv2_gluon"
GLUON_RESNET: Final = "resnetv2_50_gluon_stages123"
GLUON_UNET: Final = "unet_mobilenet_v2"

AGGREGATES: Final = ("malignant", "melanoma")
"""What a class map may name beside the seven classes, for a bundle that knows no more."""

_HASH_LENGTH: Final = 64
_MAX_VIA: Final = 2048  # px


@dataclass(frozen=True, slots=True)
class ClassifierSpec:
    """A classifier: trunk and head.

    `name` is `mobilenetv2_gluon`, `resnetv2_50_gluon_stages123` (ResNet50-v2 without its last
    stage: 1,024 features at stride 16) or any name of `timm.create_model`. `head`: ``linear``
    (dropout, linear), ``norm_linear`` (LayerNorm first), ``mlp`` (for each of `hidden`: dropout,
    linear, batch norm, ReLU; then dropout, linear) or ``stack`` (`layers` one by one, each
    ``batch_norm``, ``relu``, ``dropout SHARE`` or ``linear WIDTH``; then dropout, linear).
    `hidden_dropout` is one share per hidden layer, before it; `dropout` stands before the last
    layer.
    """

    name: str = GLUON_MOBILENET
    head: str = "linear"
    dropout: float = 0.2
    hidden: tuple[int, ...] = ()
    hidden_dropout: tuple[float, ...] = ()
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SegmenterSpec:
    """A U-Net: `unet_mobilenet_v2`, or ``unet:ENCODER`` with an encoder of smp.

    `decoder_channels`: one width per level, from the deepest.
    """

    name: str = GLUON_UNET
    decoder_channels: tuple[int, ...] = (128, 64, 32, 16, 16)


@dataclass(frozen=True, slots=True)
class Input:
    """What a network sees: `size` px square, x / `scale`, then (x − `mean`) / `std` per channel.

    `mean` and `std` are in the channel order that the network takes. `crop` "full": the whole
    frame, cut to at most 4:3 and squashed; by way of `via` px where that is given, the side at
    which photos were kept while training: what is shrunk twice is softer than shrunk once.
    """

    size: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    crop: Literal["full"] = "full"
    channel_order: Literal["RGB", "BGR"] = "RGB"
    scale: float = 255.0
    via: int = 0

    def __post_init__(self) -> None:
        if self.size <= 0 or self.scale <= 0 or min(self.std) <= 0:
            raise ValueError("size, scale and std must be positive")
        if self.via and not self.size <= self.via <= _MAX_VIA:
            raise ValueError(f"via {self.via} must lie between size {self.size} and {_MAX_VIA}")


@dataclass(frozen=True, slots=True)
class Step:
    """One preprocessing step by name, with the parameters that differ from its defaults."""

    step: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A weight file beside `bundle.json`, pinned by its SHA-256 (64 hex digits)."""

    file: str
    sha256: str

    def __post_init__(self) -> None:
        if len(self.sha256) != _HASH_LENGTH or set(self.sha256) - set("0123456789abcdef"):
            raise ValueError(f"{self.sha256!r} is not a SHA-256 in lower-case hex")


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the ensemble, and the seed that it was trained from.

    `architecture` is given where it is not the ensemble's.
    """

    file: str
    sha256: str
    seed: int
    architecture: ClassifierSpec | None = None

    def __post_init__(self) -> None:
        WeightFile(self.file, self.sha256)


@dataclass(frozen=True, slots=True)
class Classifier:
    """The ensemble: an architecture, one or more members, of which some may have their own.

    `outputs` names the model's outputs in order. `activation` "softmax" over them, or "sigmoid" of
    one. `class_map` maps a product class, `malignant` or `melanoma` to the outputs summed for it.
    """

    architecture: ClassifierSpec
    members: tuple[Member, ...]
    outputs: tuple[str, ...]
    activation: Literal["softmax", "sigmoid"]
    class_map: dict[str, tuple[str, ...]]
    input: Input

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("there is no member")
        if not self.outputs or len(set(self.outputs)) != len(self.outputs):
            raise ValueError("outputs must be one or more distinct names")
        if self.activation == "sigmoid" and len(self.outputs) != 1:
            raise ValueError("a sigmoid has exactly one output")
        check_class_map(self.class_map, self.outputs)

    def architecture_of(self, member: Member) -> ClassifierSpec:
        """Return the member's architecture."""
        return member.architecture or self.architecture


@dataclass(frozen=True, slots=True)
class Segmenter:
    """The lesion segmenter; a pixel is lesion where its probability is over `threshold`."""

    file: str
    sha256: str
    architecture: SegmenterSpec
    input: Input
    threshold: float = 0.5

    def __post_init__(self) -> None:
        WeightFile(self.file, self.sha256)


@dataclass(frozen=True, slots=True)
class FixedGate:
    """Decide where max(p, 1 − p) of p_malignant is at least `threshold`."""

    threshold: float = 0.99


@dataclass(frozen=True, slots=True)
class RiskControlledGate:
    """A `threshold` under which P(malignant decided benign | malignant) ≤ `alpha`.

    It holds with confidence 1 − `delta`; `coverage` is the share decided out-of-fold.
    """

    threshold: float
    alpha: float
    delta: float
    coverage: float


@dataclass(frozen=True, slots=True)
class Gate:
    """The decision rules that the bundle carries, and which of them is active."""

    active: Literal["fixed", "risk_controlled"] = "fixed"
    fixed: FixedGate = FixedGate()
    risk_controlled: RiskControlledGate | None = None

    def __post_init__(self) -> None:
        if self.active == "risk_controlled" and self.risk_controlled is None:
            raise ValueError("the active gate is risk_controlled, but none is given")

    @property
    def threshold(self) -> float:
        """Return the active rule's threshold."""
        if self.active == "risk_controlled" and self.risk_controlled is not None:
            return self.risk_controlled.threshold
        return self.fixed.threshold


@dataclass(frozen=True, slots=True)
class Quality:
    """Limits of a usable photo; units as in `inference_worker.quality`."""

    min_short_side: int = 96
    min_sharpness: float = 0.0
    min_brightness: float = 0.0
    max_brightness: float = 1.0
    min_lesion_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Ood:
    """Where the out-of-distribution statistics lie (`file`) and their `limit`.

    The file holds, of the first member's pooled features of the identity view: `mean` (d),
    `components` (k × d, orthonormal), `variance` (k) and `residual_variance` (1). The squared
    distance of f is Σ ((components · (f − mean))² / variance) + |rest|² / residual_variance;
    the distance is its square root over √d. A photo above `limit` is refused.
    """

    kind: Literal["mahalanobis"]
    file: str
    sha256: str
    limit: float

    def __post_init__(self) -> None:
        WeightFile(self.file, self.sha256)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole bundle but for its weights.

    `training` and `metrics` are records for people: they steer nothing, and are kept as they are.
    """

    schema_version: Literal[1]
    name: str
    version: str
    licence: str
    created: str
    intended_use: str
    classifier: Classifier
    preprocessing: tuple[Step, ...]
    views: tuple[str, ...]
    temperature: float
    gate: Gate
    quality: Quality
    ood: Ood | None
    segmenter: Segmenter | None
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"the temperature is {self.temperature}: it must be positive")
        if not self.views:
            raise ValueError("there is no view")

    @property
    def files(self) -> tuple[WeightFile, ...]:
        """Return every weight file that the bundle pins."""
        parts = [*self.classifier.members, self.ood, self.segmenter]
        return tuple(WeightFile(part.file, part.sha256) for part in parts if part is not None)


def check_class_map(class_map: dict[str, tuple[str, ...]], outputs: tuple[str, ...]) -> None:
    """Raise ValueError unless the map leads from outputs to something that gives p_malignant."""
    if unknown := set(class_map) - set(CLASSES) - set(AGGREGATES):
        raise ValueError(f"class_map names {sorted(unknown)}, which the product does not know")
    if absent := {name for names in class_map.values() for name in names} - set(outputs):
        raise ValueError(f"class_map takes from {sorted(absent)}, which the model does not output")
    if "malignant" not in class_map and not {"mel", "bcc", "akiec"} <= set(class_map):
        raise ValueError("class_map gives no p_malignant: map 'malignant', or mel, bcc and akiec")
