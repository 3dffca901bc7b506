"""The generators that dropout draws from, one a process: their states, kept and taken up again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from training.parallel import Team

logger = logging.getLogger(__name__)


def states(device: torch.device, team: Team) -> Tensor:
    """Return the state of every process's generator, uint8 processes × bytes."""
    cuda = device.type == "cuda"
    return team.gather(torch.cuda.get_rng_state(device) if cuda else torch.get_rng_state())


def take_up(kept: Tensor, device: torch.device, team: Team) -> None:
    """Put this process's generator into its state among the `kept` ones.

    Those of a team of another size fit nobody: the training goes on without, and the log says so.
    """
    kept = kept if kept.ndim > 1 else kept[None]  # version 1.0 kept the state of one
    if len(kept) != team.size:
        logger.warning(
            "the checkpoint is of %d processes, this training of %d: it goes on, but to other "
            "weights than if it had not been stopped",
            len(kept),
            team.size,
        )
        return
    # Torch reads a state from the start of its memory: a row has to have its own.
    own = kept[team.rank].clone()
    if device.type == "cuda":
        torch.cuda.set_rng_state(own, device)
    else:
        torch.set_rng_state(own)
