"""Running out of memory, under one name, and giving back what nobody needs any more."""

from __future__ import annotations

import ctypes
import mmap
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import torch

from inference_worker.errors import OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Iterator

# PyTorch's allocator for the CPU has no exception class of its own.
_CPU_ALLOCATOR: Final = "can't allocate memory"

_MAPS: Final = Path("/proc/self/maps")


def give_back_mapped(path: Path) -> None:
    """Give back the memory that the read-only mappings of the file at `path` take up.

    Nothing is lost: what is read again comes from the file again. Elsewhere than on Linux nothing
    happens; there, too, the system takes such memory when it needs it.
    """
    if not sys.platform.startswith("linux"):
        return
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    for line in _MAPS.read_text(errors="replace").splitlines():
        where, mode, *_, name = line.split(maxsplit=5)
        # What could be written to might differ from the file: it is left alone.
        if "w" not in mode and name == str(path):
            start, end = (int(number, 16) for number in where.split("-"))
            advise(start, end - start, mmap.MADV_DONTNEED)


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
