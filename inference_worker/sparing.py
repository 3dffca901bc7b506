"""Cleaning a photo before its lesion is known, and setting right afterwards what cut into it.

Finding the lesion needs a cleaned photo, and some steps of the cleaning must leave the lesion
alone. Most photos have no corner, ink or plaster that reaches into their lesion: then nothing is
done twice. Where one does, the steps from there on run again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_worker.pixels import check, check_mask
from inference_worker.preprocessing import SparingStep, fill, parse_steps, run, to_fill, touches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from inference_worker.pixels import Mask, Pixels


class Cleaning:
    """One photo, cleaned by `steps` as `preprocessing.apply` does it; `pixels` is what came out.

    It keeps what went into each sparing step, and where that found something to fill.
    """

    def __init__(self, pixels: Pixels, steps: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Clean `pixels`, uint8 height × width × 3 RGB.

        Raises `InvalidPixelsError`, `UnknownStepError`.
        """
        check(pixels)
        self._seen = pixels
        self._steps = parse_steps(steps)
        self._filled: list[tuple[int, Pixels, Mask]] = []
        for number, step in enumerate(self._steps):
            if isinstance(step, SparingStep):
                found = to_fill(pixels, step)
                if found.any():
                    self._filled.append((number, pixels, found))
                pixels = fill(pixels, step, found)
            else:
                pixels = run(pixels, step)
        self.pixels = pixels

    @property
    def may_have_cut(self) -> bool:
        """Tell whether any step found something to fill that has to spare a lesion."""
        return bool(self._filled)

    def sparing(self, lesion_mask: Mask) -> Pixels:
        """Return the photo as `preprocessing.apply` cleans it when it knows of `lesion_mask`.

        The mask is bool height × width. Raises `InvalidPixelsError`.
        """
        check_mask(lesion_mask, self._seen)
        for number, before, found in self._filled:
            # Up to here both ways are one: what no mask took anything from came out the same.
            if touches(found, lesion_mask):
                pixels = before
                for step in self._steps[number:]:
                    pixels = run(pixels, step, lesion_mask)
                return pixels
        return self.pixels
