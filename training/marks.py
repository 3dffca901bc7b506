"""What disturbs a photo, looked for by the same functions that the product uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from inference_worker import preprocessing, quality
from training.readers import Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from inference_worker.pixels import Pixels
    from training.readers import Record

_SIDE: Final = 320
_MIN_TICKS: Final = 8
_PERIODS: Final = (4, 40)
_MIN_PEAK: Final = 0.35


def look(records: Sequence[Record], data: Path) -> tuple[tuple[str, ...], ...]:
    """Return for each photo which of ``hair``, ``corners``, ``ruler`` is seen in it."""
    sources = {name: Source(data, name) for name in {r.source for r in records}}
    found = []
    for record in records:
        small = preprocessing.shrink(sources[record.source].pixels(record.path), _SIDE)
        marks = quality.notes(small)
        found.append((*marks, "ruler") if has_ruler(small) else marks)
    return tuple(found)


def has_ruler(pixels: Pixels) -> bool:
    """Tell whether a scale with even ticks runs along an edge of the photo.

    Ticks are thin, dark, and evenly spaced: in the strip along an edge, the black-hat response
    summed across it must repeat itself (autocorrelation) at some period of 4 to 40 px, at least
    eight times. It finds printed scales; a handwritten mark is no ruler.
    """
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    thin = cv2.morphologyEx(gray, cv2.MORPH_BLACKHAT, np.ones((7, 7), np.uint8)).astype(np.float64)
    depth = max(8, min(gray.shape) // 8)
    strips = (thin[:depth], thin[-depth:], thin[:, :depth].T, thin[:, -depth:].T)
    return any(_repeats(strip.mean(0)) for strip in strips)


def _repeats(profile: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> bool:
    centred = profile - np.convolve(np.pad(profile, 20, mode="reflect"), np.ones(41) / 41, "valid")
    power = float(centred @ centred)
    if power < 4.0 * len(profile):  # flat: nothing thin and dark there
        return False
    longest = min(_PERIODS[1], len(profile) // _MIN_TICKS)
    whole = np.correlate(centred, centred, "full")[len(profile) - 1 :] / power
    scaled = whole[: longest + 1] * len(profile) / (len(profile) - np.arange(longest + 1))
    dips = np.minimum.accumulate(scaled)
    rises = scaled[_PERIODS[0] :][dips[_PERIODS[0] :] < 0]
    return bool(len(rises)) and float(rises.max()) > _MIN_PEAK
