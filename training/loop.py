"""One training loop for classifiers and segmenters: stages, EMA, checkpoints, exact resume.

All randomness of an epoch is drawn from (seed, epoch), and a checkpoint stands between epochs: a
run that was killed and resumed ends in the same weights as one that was not.
"""

from __future__ import annotations

import copy
import csv
import json
import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import torch
from tqdm import tqdm

from training import checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor, nn

CHECKPOINT: Final = "checkpoint.safetensors"
FINAL: Final = "final.safetensors"


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of training at one `size` px: `epochs` of `images` drawn photos each."""

    size: int
    epochs: int
    images: int


@dataclass(frozen=True, slots=True)
class Optimiser:
    """AdamW under one cycle: linear warm-up over `warmup` of all steps, then cosine to zero.

    `ema` is the decay per step of the averaged weights, which are the ones kept.
    """

    lr: float = 7e-4
    weight_decay: float = 0.02
    batch: int = 32
    clip: float = 1.0
    warmup: float = 0.1
    ema: float = 0.99


class Task(Protocol):
    """What is trained: a model, its batches and its loss."""

    model: nn.Module

    def batches(
        self, rng: np.random.Generator, *, size: int, images: int, batch: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (input, target) batches of `images` photos in all."""
        ...

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss of a batch."""
        ...

    def validate(self, model: nn.Module, size: int) -> dict[str, float]:
        """Return figures of the validation part."""
        ...


def fit(
    task: Task,
    stages: Sequence[Stage],
    optimiser: Optimiser,
    *,
    seed: int,
    out: Path,
    resume: bool,
    device: torch.device,
) -> Path:
    """Train `task` and return the path of the averaged weights, ``out/final.safetensors``.

    Writes a checkpoint after each epoch and a row of ``log.csv``. With `resume` it goes on from the
    checkpoint in `out`, if there is one, and does nothing where the training had ended.
    """
    out.mkdir(parents=True, exist_ok=True)
    final = out / FINAL
    if resume and final.exists():
        return final
    model = task.model.to(device).to(memory_format=torch.channels_last)
    average = copy.deepcopy(model).eval()
    adamw = torch.optim.AdamW(_groups(model, optimiser.weight_decay), lr=optimiser.lr)
    plan = [stage for stage in stages for _ in range(stage.epochs)]
    total = sum(math.ceil(stage.images / optimiser.batch) for stage in plan)
    step = first = 0
    if resume and (out / CHECKPOINT).exists():
        first, step = checkpoint.load(out / CHECKPOINT, model, average, adamw)
    for epoch in range(first, len(plan)):
        stage = plan[epoch]
        torch.manual_seed(seed * 1000 + epoch)
        rng = np.random.default_rng((seed, epoch))
        started, losses = time.monotonic(), []
        model.train()
        batches = task.batches(rng, size=stage.size, images=stage.images, batch=optimiser.batch)
        count = math.ceil(stage.images / optimiser.batch)
        label = f"{out.name} {epoch + 1}/{len(plan)} at {stage.size} px"
        for x, target in tqdm(batches, total=count, desc=label, unit="batch", mininterval=10):
            _set_rate(adamw, rate(step, total, optimiser))
            with torch.autocast(device.type, torch.bfloat16):
                output = model(x.to(device))
            loss = task.loss(output, target.to(device))
            adamw.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), optimiser.clip)
            adamw.step()
            step += 1
            _average(average, model, min(optimiser.ema, (1 + step) / (10 + step)))
            losses.append(float(loss.detach()))
        checkpoint.save(out / CHECKPOINT, model, average, adamw, epoch=epoch + 1, step=step)
        row = {"epoch": epoch, "size": stage.size, "loss": float(np.mean(losses))}
        row["seconds"] = round(time.monotonic() - started, 1)
        if epoch + 1 == len(plan) or plan[epoch + 1].size != stage.size:
            row |= task.validate(average, stage.size)
        _log(out / "log.csv", row)
    checkpoint.save_weights(final, average)
    (out / "plan.json").write_text(json.dumps([asdict(stage) for stage in stages]))
    return final


def rate(step: int, total: int, optimiser: Optimiser) -> float:
    """Return the learning rate of `step` of `total`."""
    warm = max(1, round(total * optimiser.warmup))
    if step < warm:
        return optimiser.lr * (step + 1) / warm
    return optimiser.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return parameter groups: vectors (biases, norms) are not decayed."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]


def _set_rate(adamw: torch.optim.Optimizer, lr: float) -> None:
    for group in adamw.param_groups:
        group["lr"] = lr


@torch.no_grad()
def _average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights and running statistics towards the model's."""
    kept, fresh = [], []
    for own, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if own.dtype.is_floating_point:
            kept.append(own)
            fresh.append(new)
        else:
            own.copy_(new)
    torch._foreach_lerp_(kept, fresh, 1 - decay)


def _log(path: Path, row: dict[str, Any]) -> None:
    """Append a row; figures that an epoch lacks stay empty."""
    old = list(csv.DictReader(path.open())) if path.exists() else []
    rows = [r for r in old if int(r["epoch"]) < row["epoch"]] + [row]
    names = list(dict.fromkeys(name for r in rows for name in r))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    tqdm.write(json.dumps(row))
