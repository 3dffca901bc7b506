"""Photos and masks decoded, cleaned and squared once, kept as uint8 arrays on disk."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from tqdm import tqdm

from inference_worker import preprocessing
from training.readers import Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.readers import Record


def photos(
    records: Sequence[Record],
    *,
    data: Path,
    cache: Path,
    size: int,
    steps: Sequence[tuple[str, Mapping[str, Any]]],
    via: int = 0,
) -> NDArray[np.uint8]:
    """Return the photos, cleaned by `steps` and squared as when serving: N × size × size × 3."""
    if via:
        kept = photos(records, data=data, cache=cache, size=via, steps=steps)
        return np.stack([preprocessing.to_square(photo, size) for photo in kept])
    described = ["photos", size, [[name, dict(params)] for name, params in steps]]
    path = _path(cache, records, described)
    if not path.exists():
        out = np.empty((len(records), size, size, 3), np.uint8)
        sources = {name: Source(data, name) for name in {r.source for r in records}}
        for i, record in enumerate(
            tqdm(records, desc="decode photos", unit="photo", mininterval=5)
        ):
            pixels = preprocessing.apply(sources[record.source].pixels(record.path), steps)
            out[i] = preprocessing.to_square(pixels, size)
        _save(path, out)
    return _load(path)


def masks(records: Sequence[Record], *, data: Path, cache: Path, size: int) -> NDArray[np.uint8]:
    """Return the masks, squared like their photos: N × size × size, 0 … 255 (shares of a pixel)."""
    path = _path(cache, records, ["masks", size])
    if not path.exists():
        out = np.empty((len(records), size, size), np.uint8)
        sources = {name: Source(data, name) for name in {r.source for r in records}}
        for i, record in enumerate(tqdm(records, desc="decode masks", unit="mask", mininterval=5)):
            mask = sources[record.source].mask(str(record.mask_path))
            rgb = cv2.cvtColor(mask, cv2.COLOR_GRAY2RGB)
            out[i] = preprocessing.to_square(np.asarray(rgb, np.uint8), size)[..., 0]
        _save(path, out)
    return _load(path)


def _path(cache: Path, records: Sequence[Record], described: list[Any]) -> Path:
    ids = [f"{r.source}/{r.path}" for r in records]
    key = hashlib.sha256(json.dumps([described, ids], sort_keys=True).encode()).hexdigest()[:16]
    return cache / f"{described[0]}-{key}.npy"


def _save(path: Path, array: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.npy")
    np.save(unfinished, array, allow_pickle=False)
    unfinished.replace(path)


def _load(path: Path) -> NDArray[np.uint8]:
    loaded: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return loaded
