"""What a loop trains, and the two kinds of it: a classifier of photos, a segmenter of lesions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from training import augment, losses, mixing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from inference_worker.manifest import Input
    from training.augment import Augmentation
    from training.losses import Criterion
    from training.schedule import Stage

_EVALUATION_BATCH = 64
_CPU = torch.device("cpu")


class Task(Protocol):
    """What is trained: a model, its batches and its loss."""

    model: nn.Module

    def batches(
        self, rng: np.random.Generator, stage: Stage, *, batch: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (input, target) batches of the photos of one epoch of `stage`, `batch` in each.

        They are drawn from `rng` alone, and augmented by the task's own augmentation where the
        stage has none.
        """
        ...

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss of a batch."""
        ...

    def validate(self, model: nn.Module, size: int) -> dict[str, float]:
        """Return figures of the validation part, in the precision of the training around it."""
        ...


@dataclass(frozen=True, slots=True)
class Pool:
    """Photos to draw from: the `rows` (N) of `pixels`, … × size × size × 3.

    `allowed` bool N × classes; `weight` N, how often each is drawn, in any unit; `aspect` N, width
    over height before squaring; `views` tells that these are second views of another pool's photos.
    """

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    allowed: NDArray[np.bool_]
    weight: NDArray[np.float64]
    aspect: NDArray[np.float64]
    views: bool = False


@dataclass(slots=True)
class ClassifierTask:
    """A classifier trained on several pools, each drawn from by its `shares`.

    `criterion` takes logits B × outputs and what each label allows, bool B × columns; `validation`
    photos N × size × size × 3 with `validation_labels`, column numbers; `groups` maps a figure's
    name to the columns summed for it. Photos are augmented on `device`.
    """

    model: nn.Module
    pools: Sequence[Pool]
    shares: Sequence[float]
    augmentation: Augmentation
    input: Input
    criterion: Criterion
    validation: NDArray[np.uint8]
    validation_labels: NDArray[np.int64]
    groups: dict[str, tuple[int, ...]]
    device: torch.device = _CPU

    def batches(
        self, rng: np.random.Generator, stage: Stage, *, batch: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield normalised batches at the stage's size and what each label allows, mixed or not."""
        how = stage.augmentation or self.augmentation
        which = rng.choice(len(self.pools), size=stage.images, p=np.array(self.shares))
        drawn = np.empty(stage.images, np.int64)
        for i, pool in enumerate(self.pools):
            here = which == i
            p = pool.weight / pool.weight.sum()
            drawn[here] = rng.choice(len(p), size=int(here.sum()), p=p)
        for start in range(0, stage.images, batch):
            part = slice(start, start + batch)
            rows = list(zip(which[part], drawn[part], strict=True))
            pixels = np.stack([self.pools[w].pixels[self.pools[w].rows[i]] for w, i in rows])
            aspect = np.array([self.pools[w].aspect[i] for w, i in rows])
            allowed = np.stack([self.pools[w].allowed[i] for w, i in rows])
            where = augment.grid(len(rows), stage.size, how, rng, aspect)
            x = augment.to_float(pixels, self.device)
            x = augment.warp(x, where.to(self.device))
            x, target = augment.recolour(x, how, rng), torch.from_numpy(allowed)
            if how.mixes:
                x, target = mixing.mix(x, target, how, rng)
            yield augment.as_input(x, self.input), target

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the criterion's mean over the batch."""
        return mixing.loss(self.criterion, output, target)

    @torch.inference_mode()
    def validate(self, model: nn.Module, size: int) -> dict[str, float]:
        """Return the ROC AUC of each group against the rest."""
        device = next(model.parameters()).device
        found = []
        for start in range(0, len(self.validation), _EVALUATION_BATCH):
            x = augment.to_float(self.validation[start : start + _EVALUATION_BATCH])
            x = functional.interpolate(x, size=(size, size), mode="bilinear", antialias=True)
            x = augment.as_input(x, self.input).to(device)
            logits = model(x).float()
            if logits.shape[1] == 1:
                logits = torch.cat([torch.zeros_like(logits), logits], 1)
            found.append(logits.softmax(1).cpu())
        p = torch.cat(found).numpy()
        figures = {}
        for name, classes in self.groups.items():
            positive = np.isin(self.validation_labels, classes)
            if 0 < positive.sum() < len(positive):
                figures[name] = float(roc_auc_score(positive, p[:, list(classes)].sum(1)))
        return {k: round(v, 4) for k, v in figures.items()}


@dataclass(slots=True)
class SegmenterTask:
    """A segmenter: photos N × size × size × 3 with `masks` N × size × size in 0 … 255."""

    model: nn.Module
    pixels: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    aspect: NDArray[np.float64]
    augmentation: Augmentation
    input: Input
    train: NDArray[np.int64]
    held_out: NDArray[np.int64]
    dice_weight: float = 0.5
    device: torch.device = _CPU

    def batches(
        self, rng: np.random.Generator, stage: Stage, *, batch: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield normalised batches at the stage's size and their masks in [0, 1]."""
        how = stage.augmentation or self.augmentation
        drawn = self.train[rng.integers(len(self.train), size=stage.images)]
        for start in range(0, stage.images, batch):
            rows = drawn[start : start + batch]
            x = augment.to_float(self.pixels[rows], self.device)
            y = augment.to_float(self.masks[rows][..., None], self.device)
            where = augment.grid(len(rows), stage.size, how, rng, self.aspect[rows])
            both = torch.cat([x, y], 1)
            both = augment.warp(both, where.to(self.device))
            x = augment.recolour(both[:, :3].contiguous(), how, rng)
            yield augment.as_input(x, self.input), both[:, 3:].contiguous()

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return `losses.dice_bce`."""
        return losses.dice_bce(output, target, dice_weight=self.dice_weight)

    @torch.inference_mode()
    def validate(self, model: nn.Module, size: int) -> dict[str, float]:
        """Return the mean Dice and IoU of the held-out photos, if any, at threshold 0.5."""
        if not len(self.held_out):
            return {}
        device = next(model.parameters()).device
        dice, iou = [], []
        for start in range(0, len(self.held_out), _EVALUATION_BATCH):
            rows = self.held_out[start : start + _EVALUATION_BATCH]
            x = augment.to_float(self.pixels[rows])
            truth = torch.from_numpy(self.masks[rows] > 127)[:, None]  # noqa: PLR2004
            shape = truth.shape[-2:]
            x = functional.interpolate(x, size=(size, size), mode="bilinear", antialias=True)
            x = augment.as_input(x, self.input).to(device)
            logits = model(x).float().cpu()
            found = functional.interpolate(logits, size=shape, mode="bilinear") > 0
            both = (found & truth).sum((1, 2, 3)).double()
            either = (found | truth).sum((1, 2, 3)).double()
            dice.append(2 * both / (both + either).clamp(min=1))
            iou.append(both / either.clamp(min=1))
        return {
            "dice": round(float(torch.cat(dice).mean()), 4),
            "iou": round(float(torch.cat(iou).mean()), 4),
        }
