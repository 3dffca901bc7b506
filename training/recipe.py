"""A recipe: everything that decides what is trained, as typed YAML. An unknown key is an error."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

import yaml

from inference_worker import preprocessing, typed, views
from inference_worker.manifest import (
    ClassifierSpec,
    Input,
    SegmenterSpec,
    Step,
    check_class_map,
)
from training import labels
from training.augment import Augmentation
from training.losses import Loss
from training.schedule import Optimiser, Stage

FOLDER: Final = Path(__file__).parent / "recipes"

_SMOKE_SIZE: Final = 64
_SMOKE_BATCH: Final = 8
_SMOKE_STEPS: Final = 2
"""Of a stage: what is killed between them has something left to resume."""
_SMOKE_MEMBERS: Final = 2


class RecipeError(ValueError):
    """There is no such recipe, or it says something that cannot be."""


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """`test_share` of the lesions is read once, at the end; the rest makes `folds`.

    `by` "image" lets photos of one lesion stand on both sides: only to show how much that flatters.
    """

    test_share: float = 0.2
    folds: int = 5
    seed: int = 2025
    by: Literal["lesion", "image"] = "lesion"


@dataclass(frozen=True, slots=True)
class DataSpec:
    """Where photos come from, and how often each kind is drawn.

    `labelled` is split and tested on; `further` are more labelled sets, photos of which all members
    train on and none is tested on, drawn as often as there are of them; one that is not in the data
    folder is done without. `unseen` says melanoma yes or no of photos that no member is trained on,
    for the ensemble's temperature (`training.sharpening`); `crops` are second views of the labelled
    photos; `partial` says melanoma yes or no. `crop_share` and `partial_share` of all draws. A
    class of n photos is drawn with a weight of n ** `class_power`: 1 as it comes, 0 all alike.

    Photos of `labelled` that look alike, their perceptual hashes within `near_duplicates` of 64
    bits, count as one lesion (`training.duplicates`). None: as the data set says, and within
    `duplicates.DISTANCE` where it knows no lesions. Of `further` and `partial` no photo is trained
    on that is a copy of another, or shows a lesion of the test part or the fold left out.
    """

    labelled: str = "ham10000"
    further: tuple[str, ...] = ()
    unseen: str | None = None
    crops: str | None = None
    crop_share: float = 0.0
    partial: str | None = None
    partial_share: float = 0.0
    class_power: float = 0.5
    near_duplicates: int | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """How one network is trained."""

    stages: tuple[Stage, ...]
    optimiser: Optimiser = field(default_factory=Optimiser)
    augmentation: Augmentation = field(default_factory=Augmentation)
    smoothing: float = 0.0
    loss: Loss = field(default_factory=Loss)

    def __post_init__(self) -> None:
        if self.optimiser.monitor and any(stage.blend < 1 for stage in self.stages):
            raise ValueError("'blend' keeps weights that no 'monitor' has seen: leave one out")


@dataclass(frozen=True, slots=True)
class SegmenterRecipe:
    """The lesion segmenter: trained on the development photos with masks, and on `extra`.

    `held_out` share of the `extra` photos is kept for the test, `validation` of all others to watch
    the training by; no lesion stands on two sides (`training.masked`). The encoder starts from
    `init`, or from the recipe's own where that is not given. `dice_weight` of Dice beside cross
    entropy.
    """

    architecture: SegmenterSpec
    input: Input
    schedule: Schedule
    init: str | None = None
    extra: str | None = None
    held_out: float = 0.1
    validation: float = 0.1
    seed: int = 42
    threshold: float = 0.5
    dice_weight: float = 0.5

    def __post_init__(self) -> None:
        own = [stage.augmentation for stage in self.schedule.stages if stage.augmentation]
        if any(how.mixes for how in [self.schedule.augmentation, *own]):
            raise ValueError("'mixup' and 'cutmix' are a classifier's: masks are not mixed")


@dataclass(frozen=True, slots=True)
class Network:
    """A classifier, where its trunk starts from, and its learning rate; the recipe's where None."""

    classifier: ClassifierSpec
    init: str | None = None
    lr: float | None = None


@dataclass(frozen=True, slots=True)
class Variant(Network):
    """The network of some `members` (counted from 0) that differ from the rest."""

    members: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """One bundle's making.

    `init` is the trunks' start: a file in the data folder, "hub" for timm's pretrained weights, or
    None for random ones. `storage` of the members' weights in the bundle, as
    `inference_worker.storage` says. `cache_size` px is the side at which photos are kept in memory.
    `workers` threads decode and clean them.
    `targets` say which diagnoses each output stands for (`labels.labels`).
    """

    name: str
    version: str
    licence: str
    intended_use: str
    classifier: ClassifierSpec
    outputs: tuple[str, ...]
    activation: Literal["softmax", "sigmoid"]
    class_map: dict[str, tuple[str, ...]]
    input: Input
    schedule: Schedule
    seeds: tuple[int, ...]
    views: tuple[str, ...]
    init: str | None = None
    storage: Literal["half", "int8"] = "half"
    variants: tuple[Variant, ...] = ()
    cache_size: int = 192
    workers: int = 2
    preprocessing: tuple[Step, ...] = ()
    split: SplitSpec = field(default_factory=SplitSpec)
    data: DataSpec = field(default_factory=DataSpec)
    segmenter: SegmenterRecipe | None = None
    licences: dict[str, str] = field(default_factory=dict)
    targets: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.seeds) > self.split.folds:
            raise ValueError(f"{len(self.seeds)} seeds need as many folds, not {self.split.folds}")
        if self.workers < 1:
            raise ValueError(f"workers {self.workers}: at least one thread has to decode")
        trained = {self.data.labelled, self.data.crops, self.data.partial, *self.data.further}
        if self.data.unseen in trained - {None}:
            raise ValueError(f"unseen: {self.data.unseen!r} is trained on: name another data set")
        if self.data.labelled in self.data.further:
            raise ValueError(f"further: {self.data.labelled!r} is the labelled set already")
        if self.data.crop_share + self.data.partial_share >= 1:
            raise ValueError("crop_share and partial_share leave no labelled photos to draw")
        others = [number for variant in self.variants for number in variant.members]
        if len(set(others)) != len(others) or set(others) - set(range(len(self.seeds))):
            raise ValueError(f"variants name members {others}: each once, of {len(self.seeds)}")
        check_class_map(self.class_map, self.outputs)
        self._check_loss()
        views.plan(self.views)
        for step in self.preprocessing:
            preprocessing.parse_step(step.step, step.params)

    def network(self, member: int) -> Network:
        """Return the network of a member, counted from 0."""
        own = Network(self.classifier, self.init)
        return next((v for v in self.variants if member in v.members), own)

    @property
    def steps(self) -> tuple[tuple[str, dict[str, object]], ...]:
        """Return the preprocessing steps as `preprocessing.apply` takes them."""
        return tuple((step.step, step.params) for step in self.preprocessing)

    @property
    def sharpened_by(self) -> str | None:
        """Return the `unseen` data set where the export fits the ensemble's temperature to it.

        A single member is no ensemble, and where no output is melanoma, yes or no says nothing.
        """
        several = len(self.seeds) > 1 and self.labels.class_map.melanoma
        return self.data.unseen if several else None

    @property
    def labels(self) -> labels.Labels:
        """Return what the networks are taught to say."""
        return labels.labels(self.outputs, self.activation, self.targets, self.class_map)

    def _check_loss(self) -> None:
        known, loss = self.labels, self.schedule.loss.name
        if (loss == "bce") != (self.activation == "sigmoid"):
            raise ValueError(f"loss {loss!r} does not go with {self.activation}: bce with sigmoid")
        partial = loss == "partial_cross_entropy"
        if self.data.partial is not None and not partial:
            raise ValueError(f"partial labels of {self.data.partial!r} need partial_cross_entropy")
        monitor = self.schedule.optimiser.monitor
        possible = {"malignant_auc"} | ({"melanoma_auc"} if known.class_map.melanoma else set())
        if monitor is not None and monitor not in possible:
            raise ValueError(f"monitor {monitor!r}: this recipe has {sorted(possible)}")


def names() -> list[str]:
    """Return the names of the recipes that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name_or_path: str) -> tuple[Recipe, str]:
    """Return a recipe and its file's SHA-256. Raises `RecipeError`."""
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        path = FOLDER / f"{name_or_path}.yaml"
    if not path.is_file():
        raise RecipeError(f"no recipe at {path}: give a .yaml file, or one of {names()}")
    content = path.read_bytes()
    try:
        recipe = typed.parse(Recipe, yaml.safe_load(content))
    except (typed.SchemaError, yaml.YAMLError) as error:
        raise RecipeError(f"{path.name}: {error}") from error
    return recipe, hashlib.sha256(content).hexdigest()


def by_image(recipe: Recipe) -> Recipe:
    """Return the recipe's first member alone, split photo by photo: to show how that flatters."""
    return replace(
        recipe,
        split=replace(recipe.split, by="image"),
        seeds=recipe.seeds[:1],
        variants=tuple(
            replace(variant, members=(0,)) for variant in recipe.variants if 0 in variant.members
        ),
        segmenter=None,
    )


def smoke(recipe: Recipe) -> Recipe:
    """Return the recipe with every stage cut to two steps at 64 px, and two members."""
    segmenter = recipe.segmenter
    if segmenter is not None:
        segmenter = replace(
            segmenter,
            input=replace(segmenter.input, size=_SMOKE_SIZE),
            schedule=_smoke_schedule(segmenter.schedule),
        )
    return replace(
        recipe,
        input=replace(recipe.input, size=_SMOKE_SIZE),
        cache_size=_SMOKE_SIZE,
        seeds=recipe.seeds[:_SMOKE_MEMBERS],
        variants=tuple(
            replace(variant, members=tuple(m for m in variant.members if m < _SMOKE_MEMBERS))
            for variant in recipe.variants
        ),
        split=replace(recipe.split, folds=2),
        schedule=_smoke_schedule(recipe.schedule),
        segmenter=segmenter,
    )


def _smoke_schedule(schedule: Schedule) -> Schedule:
    stages = tuple(
        replace(stage, size=_SMOKE_SIZE, epochs=1, images=_SMOKE_STEPS * _SMOKE_BATCH)
        for stage in schedule.stages
    )
    optimiser = replace(schedule.optimiser, batch=_SMOKE_BATCH)
    if optimiser.checkpoint_every:
        optimiser = replace(optimiser, checkpoint_every=1)
    return replace(schedule, stages=stages, optimiser=optimiser)
