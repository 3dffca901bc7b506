"""Training state on disk as safetensors: no pickle, written whole or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

_RNG: Final = "rng"


@dataclass(frozen=True, slots=True)
class Position:
    """How far a training is: `epoch`, `step`, what `more` there is as plain JSON types.

    `rng` is the state of each process's generator, processes × bytes; None in a checkpoint that has
    none. `made_of` is what the file is to say of itself, besides.
    """

    epoch: int
    step: int
    more: dict[str, Any] = field(default_factory=dict)
    rng: Tensor | None = None
    made_of: dict[str, str] = field(default_factory=dict)


def save(
    path: Path,
    model: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    position: Position,
) -> None:
    """Write model, averaged model, optimiser state and how far they are."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
    if position.rng is not None:
        tensors[_RNG] = position.rng
    numbers = {"epoch": str(position.epoch), "step": str(position.step)}
    more = {"more": json.dumps(position.more)}
    _write(path, tensors, position.made_of | numbers | more)


def load(
    path: Path, model: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
) -> Position:
    """Put the state back in place; return how far it is."""
    tensors = load_file(path)
    model.load_state_dict(_under(tensors, "model."))
    average.load_state_dict(_under(tensors, "average."))
    whole = optimiser.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in _under(tensors, "optimiser.").items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    whole["state"] = state
    optimiser.load_state_dict(whole)
    metadata = read_metadata(path)
    more = json.loads(metadata.get("more", "{}"))
    return Position(int(metadata["epoch"]), int(metadata["step"]), more, tensors.get(_RNG))


def save_weights(path: Path, model: nn.Module, metadata: dict[str, str] | None = None) -> None:
    """Write a model's weights alone, with what `metadata` says of them."""
    _write(path, dict(model.state_dict()), metadata or {})


def load_weights(path: Path, model: nn.Module) -> None:
    """Read a model's weights, strictly."""
    model.load_state_dict(load_file(path))


def read_metadata(path: Path) -> dict[str, str]:
    """Return what a file of weights says of itself."""
    with safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    contiguous = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    unfinished = path.with_suffix(".tmp")
    save_file(contiguous, unfinished, metadata)
    unfinished.replace(path)
