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

from inference_worker.errors import OUT_OF_MEMORY_MARKS, OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def is_short(error: BaseException | None) -> bool:
    """Tell whether memory ran out, also where what `error` is hides that."""
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError | OutOfMemoryError):
            return True
        said = str(error).lower() if isinstance(error, RuntimeError) else ""
        if any(mark in said for mark in OUT_OF_MEMORY_MARKS):
            return True
        error = error.__cause__ or error.__context__
    return False


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
        if is_short(error):
            raise OutOfMemoryError from error
        raise
