"""What can go wrong when a model judges a photo: one class per thing that a caller can act on.

Every class has a stable `code`. None of them ever becomes a benign result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from pathlib import Path


OUT_OF_MEMORY_MARKS: Final = ("out of memory", "can't allocate memory", "alloc_failed", "bad_alloc")
"""What CUDA and its libraries, PyTorch's allocator for the CPU and C++ say where memory runs out.

In lower case. There is no exception class for it, or the library that has one is not loaded.
"""


class ModelError(Exception):
    """The model gave no usable answer."""

    code: ClassVar[str] = "model_error"


class NonFiniteError(ModelError):
    """A network's output holds a NaN or an infinity."""

    code = "model_nonfinite"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} gave a number that is not finite, and no result rests on such a number: "
            "check the weights, or install the bundle again"
        )


class WrongOutputError(ModelError):
    """A network's output has another shape than its bundle says."""

    code = "bundle_invalid"

    def __init__(self, what: str, *, expected: tuple[int, ...], found: tuple[int, ...]) -> None:
        super().__init__(
            f"{what} gave an output of shape {found}, the bundle says {expected}: "
            "install a bundle whose weights belong to its description"
        )


class OutOfMemoryError(ModelError):
    """The photo's pass through the model needs more memory than there is."""

    code = "out_of_memory"

    def __init__(self) -> None:
        super().__init__(
            "the computer ran out of memory in the model: free some, or use a smaller bundle"
        )


class ConversionError(ValueError):
    """OpenVINO cannot take a network of the bundle: use PyTorch."""

    code = "bundle_invalid"


class ConversionTimeoutError(ConversionError):
    """Converting for OpenVINO did not end in time: use PyTorch."""

    code = "model_unavailable"

    def __init__(self, cache: Path, *, seconds: float) -> None:
        super().__init__(
            f"converting the bundle into {cache} took longer than {seconds:.0f} s and was ended: "
            "see whether the disk hangs or another process holds the folder, then start again"
        )
