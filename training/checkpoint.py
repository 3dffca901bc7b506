"""Training state on disk as safetensors: no pickle, written whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn


def save(
    path: Path,
    model: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    *,
    epoch: int,
    step: int,
) -> None:
    """Write model, averaged model, optimiser state and how far they are."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
    _write(path, tensors, {"epoch": str(epoch), "step": str(step)})


def load(
    path: Path, model: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[int, int]:
    """Put the state back in place; return (next epoch, next step)."""
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
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    return int(metadata["epoch"]), int(metadata["step"])


def save_weights(path: Path, model: nn.Module) -> None:
    """Write a model's weights alone."""
    _write(path, dict(model.state_dict()), {})


def load_weights(path: Path, model: nn.Module) -> None:
    """Read a model's weights, strictly."""
    model.load_state_dict(load_file(path))


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    contiguous = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    unfinished = path.with_suffix(".tmp")
    save_file(contiguous, unfinished, metadata)
    unfinished.replace(path)
