"""What is trained when, and how fast: phases, parameter groups, learning rates."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from timm.models import group_parameters
from torch.optim import lr_scheduler

from training.augment import Augmentation  # noqa: TC001 - recipes are read by its type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn


@dataclass(frozen=True, slots=True)
class Stage:
    """A phase of training at one `size` px: `epochs` of `images` drawn photos each.

    `images` 0: as many whole batches as there are photos to train on. `train` "all", "head" alone,
    or "last": the head and the trunk's last `blocks`. `lr` is the phase's own rate, the optimiser's
    where None; `trunk_lr` are rates of the trained part of the trunk instead, cut by depth into as
    many bands of equal depth, from the input on (discriminative rates, Howard 2018). `restart`: the
    optimiser's one cycle begins anew here (Loshchilov 2017), so that a finished training is gone on
    with as if it had been planned so. `augmentation` is the phase's own, the schedule's where None.
    """

    size: int
    epochs: int
    images: int = 0
    train: Literal["all", "head", "last"] = "all"
    blocks: int = 0
    lr: float | None = None
    trunk_lr: tuple[float, ...] = ()
    restart: bool = False
    augmentation: Augmentation | None = None
    blend: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.blend <= 1 or (self.blend < 1 and not self.restart):
            raise ValueError("'blend' is above 0 and up to 1, and below 1 of a phase that restarts")
        if (self.train == "last") != (self.blocks > 0):
            raise ValueError("'blocks' says how many of the last are trained: with train 'last'")

    @property
    def layered(self) -> bool:
        """Tell whether the trunk's layers have rates of their own, zero included."""
        return self.train != "all" or bool(self.trunk_lr)

    def rates(self, default: float, layers: int) -> list[float]:
        """Return the rate of each of the trunk's `layers`, and of the head; 0 is frozen."""
        head = self.lr or default
        trained = {"all": layers, "head": 0, "last": min(self.blocks, layers)}[self.train]
        bands = self.trunk_lr or (head,)
        trunk = [bands[i * len(bands) // trained] for i in range(trained)]
        return [0.0] * (layers - trained) + trunk + [head]


@dataclass(frozen=True, slots=True)
class Optimiser:
    """Adam or AdamW, and how the learning rate moves.

    `schedule`: "one_cycle" spans all phases up to one that restarts: linear warm-up over `warmup`
    of its steps, then cosine to zero. The others begin anew in each phase, the optimiser's moments
    too: "constant"; "cosine" down to `eta_min`; "warm_restarts" (Loshchilov 2017: cycles of `t0`
    epochs, each `t_mult` times as long); "plateau": times `factor` after `plateau` epochs without
    a better figure.

    `monitor` names the figure of the validation part, greater is better, that is taken after each
    epoch: the weights kept are the best by it. After `early_stop` epochs without a better one a
    phase ends (0: never). Without `monitor` the last weights are kept.

    `ema` is the decay per step of the averaged weights, which are the ones kept; 0 keeps the bare
    ones. `precision` of the forward pass and of the validation: "fp16" scales its losses; "bf16" is
    float32 where the machine would only emulate it (`precision.on`). `compile` by
    `torch.compile`. `checkpoint_every` batches there is a checkpoint, beside those after epochs.
    """

    lr: float = 7e-4
    weight_decay: float = 0.02
    batch: int = 32
    clip: float = 1.0
    warmup: float = 0.1
    ema: float = 0.99
    name: Literal["adamw", "adam"] = "adamw"
    schedule: Literal["one_cycle", "constant", "cosine", "warm_restarts", "plateau"] = "one_cycle"
    eta_min: float = 0.0
    t0: int = 10
    t_mult: int = 2
    factor: float = 0.5
    plateau: int = 3
    monitor: str | None = None
    early_stop: int = 0
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    compile: bool = False
    checkpoint_every: int = 0

    def __post_init__(self) -> None:
        if self.monitor is None and (self.schedule == "plateau" or self.early_stop):
            raise ValueError("a plateau and an early stop need a figure to 'monitor'")
        if self.plateau < 1:
            raise ValueError(
                f"'plateau' {self.plateau}: at least one epoch without a better figure"
            )


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch of the plan: its `stage`, its number `within` that, and where the next begins."""

    stage: Stage
    within: int
    next_stage: int


def plan(stages: Sequence[Stage]) -> list[Epoch]:
    """Lay the epochs of all stages in a row."""
    found: list[Epoch] = []
    for stage in stages:
        end = len(found) + stage.epochs
        found += [Epoch(stage, within, end) for within in range(stage.epochs)]
    return found


def cycles(stages: Sequence[Stage], batch: int) -> list[int]:
    """Return how many steps each cycle takes; a stage that restarts begins one."""
    found: list[int] = []
    for stage in stages:
        steps = stage.epochs * math.ceil(stage.images / batch)
        if stage.restart or not found:
            found.append(steps)
        else:
            found[-1] += steps
    return found


def before(stages: Sequence[Stage], epoch: int) -> Sequence[Stage]:
    """Return the stages that have ended where `epoch` of the plan begins."""
    ends = itertools.accumulate(stage.epochs for stage in stages)
    return stages[: sum(end <= epoch for end in ends)]


def blend(stages: Sequence[Stage]) -> float:
    """Return how far to go from the weights that the last restart found; 1 is all the way."""
    return next((stage.blend for stage in reversed(stages) if stage.restart), 1.0)


def rate(step: int, total: int, optimiser: Optimiser) -> float:
    """Return the one cycle's learning rate of `step` of `total`."""
    warm = max(1, round(total * optimiser.warmup))
    if step < warm:
        return optimiser.lr * (step + 1) / warm
    return optimiser.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def build(model: nn.Module, optimiser: Optimiser, *, layered: bool) -> torch.optim.Optimizer:
    """Return the optimiser over `model`; each group knows its `layer`, the last being the head.

    Vectors (biases, norms) are not decayed. Without `layered` all is one layer.
    """
    of = layer_of(model) if layered else {}
    number: dict[int, list[tuple[str, nn.Parameter]]] = {}
    for name, parameter in model.named_parameters():
        number.setdefault(of.get(name, 0), []).append((name, parameter))
    groups: list[dict[str, Any]] = []
    for layer, named in sorted(number.items()):
        for decayed in (True, False):
            kept = [p for _, p in named if (p.ndim > 1) == decayed]
            decay = optimiser.weight_decay if decayed else 0.0
            groups.append({"params": kept, "weight_decay": decay, "layer": layer})
    groups = [group for group in groups if group["params"]]
    if optimiser.name == "adam":
        return torch.optim.Adam(groups, lr=optimiser.lr)
    return torch.optim.AdamW(groups, lr=optimiser.lr)


def layer_of(model: nn.Module) -> dict[str, int]:
    """Return the layer of each parameter of a classifier, as timm counts a trunk's blocks."""
    trunk: Any = model.trunk
    own = group_parameters(trunk, trunk.group_matcher(coarse=False), reverse=True)
    kept = {name: own[name] for name, _ in trunk.named_parameters()}
    order = {layer: i for i, layer in enumerate(sorted(set(kept.values())))}
    found = {f"trunk.{name}": order[layer] for name, layer in kept.items()}
    return {name: found.get(name, len(order)) for name, _ in model.named_parameters()}


def set_frozen(groups: Sequence[dict[str, Any]], rates: Sequence[float]) -> None:
    """Let only the groups learn whose layer has a rate."""
    for group in groups:
        for parameter in group["params"]:
            parameter.requires_grad_(rates[group["layer"]] > 0)


def set_training(model: nn.Module) -> None:
    """Put `model` into training mode, but for layers that are frozen: their statistics stay."""
    model.train()
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()


class Rates:
    """Sets the learning rates of an optimiser's groups, step by step."""

    def __init__(
        self, optimiser: torch.optim.Optimizer, spec: Optimiser, cycles: Sequence[int]
    ) -> None:
        self._optimiser = optimiser
        self._spec = spec
        self._cycles = cycles
        self._cosine: lr_scheduler.CosineAnnealingWarmRestarts | None = None
        self._plateau: lr_scheduler.ReduceLROnPlateau | None = None

    def begin(self, stage: Stage) -> None:
        """Take up a phase: its own rates, its schedule from the start."""
        spec, groups = self._spec, self._optimiser.param_groups
        rates = stage.rates(spec.lr, max(group["layer"] for group in groups))
        set_frozen(groups, rates)
        for group in groups:
            group["lr"] = group["initial_lr"] = rates[group["layer"]]
        if spec.schedule in {"cosine", "warm_restarts"}:
            restarts = spec.schedule == "warm_restarts"
            self._cosine = lr_scheduler.CosineAnnealingWarmRestarts(
                self._optimiser,
                T_0=spec.t0 if restarts else max(1, stage.epochs),
                T_mult=spec.t_mult if restarts else 1,
                eta_min=spec.eta_min,
            )
        elif spec.schedule == "plateau":
            # Torch lets `patience` stale epochs pass and acts after one more.
            self._plateau = lr_scheduler.ReduceLROnPlateau(
                self._optimiser, mode="max", factor=spec.factor, patience=spec.plateau - 1
            )

    def set(self, step: int, epochs: float) -> None:
        """Set the rates of `step` of all, `epochs` into the phase."""
        if self._spec.schedule == "one_cycle":
            *before, total = self._cycles
            for steps in before:
                if step < steps:
                    total = steps
                    break
                step -= steps
            lr = rate(step, total, self._spec)
            for group in self._optimiser.param_groups:
                group["lr"] = lr * (group["initial_lr"] / self._spec.lr)
        elif self._cosine is not None:
            self._cosine.step(epochs)

    def see(self, figure: float) -> None:
        """Take note of an epoch's figure."""
        if self._plateau is not None:
            self._plateau.step(figure)

    def state(self) -> dict[str, Any]:
        """Return what the rates remember, as plain JSON types."""
        if self._plateau is None:
            return {}
        keys = ("best", "num_bad_epochs", "_last_lr")
        known = self._plateau.state_dict()
        return {key: known[key] for key in keys if key in known}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up `state` within the phase that has begun."""
        if self._plateau is not None and state:
            self._plateau.load_state_dict(state)
            for group, lr in zip(self._optimiser.param_groups, state["_last_lr"], strict=True):
                group["lr"] = lr
