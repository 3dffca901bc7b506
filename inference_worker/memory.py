"""Running out of memory, under one name: torch, OpenCV and Python each have their own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import cv2
import torch

from inference_worker.errors import OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Iterator

# PyTorch's allocator for the CPU has no exception class of its own.
_CPU_ALLOCATOR: Final = "can't allocate memory"


@contextmanager
def named_out_of_memory() -> Iterator[None]:
    """Raise `OutOfMemoryError` in place of what the libraries raise; let all else pass."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemoryError from error
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise OutOfMemoryError from error
        raise
    except RuntimeError as error:
        if _CPU_ALLOCATOR in str(error):
            raise OutOfMemoryError from error
        raise
