"""Several processes that train one network: the same command under ``accelerate launch``.

Or under ``torchrun``, which that is for GPUs; on CPUs alone ``accelerate launch`` wants MPI.

Each process draws the same batches and takes its own photos of each; the gradients are averaged. So
the result is that of one process, but for batch statistics, which each takes of its own photos.
"""

from __future__ import annotations

import atexit
import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

_PATIENCE: Final = timedelta(hours=12)
"""How long processes wait for the first, which decodes and cleans whole data sets meanwhile."""


@dataclass(frozen=True, slots=True)
class Team:
    """This process among `size` that train together; `rank` 0 writes the files."""

    rank: int = 0
    size: int = 1
    accelerator: Any = None

    @property
    def leads(self) -> bool:
        """Tell whether this process is the one that writes."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return `model` with gradients that are averaged over the team."""
        if self.accelerator is None:
            return model
        self.accelerator.free_memory()  # the last phase's wrapper, with its copy of the gradients
        return cast("nn.Module", self.accelerator.prepare_model(model))

    def share(self, x: Tensor) -> Tensor:
        """Return this process's rows of a batch; all of one too small to be shared."""
        return x if len(x) < 2 * self.size else x[self.rank :: self.size]

    def weight(self, whole: int, own: int) -> float:
        """Return what the mean loss of `own` rows counts, so that the team's mean is the batch's.

        A batch too small to be shared counts once: each process has the same gradient.
        """
        return 1.0 if whole == own else own * self.size / whole

    def gather(self, state: Tensor) -> Tensor:
        """Return every process's `state` (n bytes, uint8 on the CPU), size × n, by rank."""
        if self.accelerator is None:
            return state[None]
        from accelerate.utils import gather_object

        found: list[Tensor] = gather_object([state])
        return torch.stack(found)

    def told(self, figures: dict[str, float]) -> dict[str, float]:
        """Return the first process's `figures`, so that all of them decide alike."""
        if self.accelerator is None:
            return figures
        from accelerate.utils import broadcast_object_list

        box: list[Any] = [figures]
        return dict(broadcast_object_list(box)[0])

    @contextmanager
    def first(self) -> Iterator[None]:
        """Let the first process go ahead: it decodes what the others then find on disk."""
        if not self.leads:
            self.wait()
        yield
        if self.leads:
            self.wait()

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.accelerator is not None:
            self.accelerator.wait_for_everyone()


SOLO: Final = Team()


def join(device: torch.device) -> tuple[Team, torch.device]:
    """Return the team that the launcher made, and this process's device."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return SOLO, device
    from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs

    # The averaged weights follow the first process; so do the batch statistics.
    options = [
        DistributedDataParallelKwargs(broadcast_buffers=True),
        InitProcessGroupKwargs(timeout=_PATIENCE),
    ]
    accelerator = Accelerator(cpu=device.type == "cpu", kwargs_handlers=options)
    # The group's threads, still running while the interpreter goes, would abort a finished process.
    atexit.register(accelerator.end_training)
    team = Team(accelerator.process_index, accelerator.num_processes, accelerator)
    return team, torch.device(accelerator.device)
