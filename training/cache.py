"""Photos and masks decoded, cleaned and squared once, kept as uint8 arrays on disk.

Each is written straight into its place in a file, so that memory does not grow with the data set.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from tqdm import tqdm

from inference_worker import preprocessing
from training.readers import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.readers import Record


@dataclass(frozen=True, slots=True)
class Decoded:
    """Photos N × size × size × 3, and the `aspect` N of what was squashed: width over height."""

    pixels: NDArray[np.uint8]
    aspect: NDArray[np.float64]


def photos(
    records: Sequence[Record],
    *,
    data: Path,
    cache: Path,
    size: int,
    steps: Sequence[tuple[str, Mapping[str, Any]]],
    via: int = 0,
    workers: int = 1,
) -> NDArray[np.uint8]:
    """Return the photos, cleaned by `steps` and squared as when serving: N × size × size × 3.

    `workers` threads decode and clean.
    """
    if not via:
        how = {"data": data, "cache": cache, "size": size, "workers": workers}
        return decoded(records, steps=steps, **how).pixels  # type: ignore[arg-type]
    path = _path(cache, records, ["photos", size, _plain(steps), via])
    if not path.exists():
        kept = photos(records, data=data, cache=cache, size=via, steps=steps, workers=workers)
        with _Writing(path, (len(records), size, size, 3)) as out:
            for i, photo in enumerate(kept):
                out[i] = preprocessing.to_square(photo, size)
    return _load(path)


def decoded(
    records: Sequence[Record],
    *,
    data: Path,
    cache: Path,
    size: int,
    steps: Sequence[tuple[str, Mapping[str, Any]]],
    workers: int = 1,
) -> Decoded:
    """Return the photos as `photos` does, and the shapes that they had."""
    path = _path(cache, records, ["photos", size, _plain(steps)])
    shapes = path.with_suffix(".aspect.npy")
    if not (path.exists() and shapes.exists()):
        aspect = np.empty(len(records))
        sources = {name: Source(data, name) for name in {r.source for r in records}}
        with _Writing(path, (len(records), size, size, 3)) as out:

            def decode(i: int) -> None:
                record = records[i]
                whole = sources[record.source].pixels(record.path)
                aspect[i] = record.aspect or _aspect(whole.shape[1], whole.shape[0])
                out[i] = preprocessing.to_square(preprocessing.apply(whole, steps), size)

            _each(decode, len(records), workers, "decode photos")
        unfinished = shapes.with_suffix(f".{os.getpid()}.npy")
        np.save(unfinished, aspect, allow_pickle=False)
        unfinished.replace(shapes)
    return Decoded(_load(path), np.load(shapes, allow_pickle=False))


def masks(
    records: Sequence[Record], *, data: Path, cache: Path, size: int, workers: int = 1
) -> NDArray[np.uint8]:
    """Return the masks, squared like their photos: N × size × size, 0 … 255 (shares of a pixel)."""
    path = _path(cache, records, ["masks", size])
    if not path.exists():
        sources = {name: Source(data, name) for name in {r.source for r in records}}
        with _Writing(path, (len(records), size, size)) as out:

            def decode(i: int) -> None:
                mask = sources[records[i].source].mask(str(records[i].mask_path))
                rgb = cv2.cvtColor(mask, cv2.COLOR_GRAY2RGB)
                out[i] = preprocessing.to_square(np.asarray(rgb, np.uint8), size)[..., 0]

            _each(decode, len(records), workers, "decode masks")
    return _load(path)


def _aspect(width: int, height: int) -> float:
    """Return the shape of what `preprocessing.to_square` squashes: it cuts what is beyond 4:3."""
    return min(max(width / height, 1 / preprocessing.MAX_ASPECT), preprocessing.MAX_ASPECT)


def _each(do: Callable[[int], None], count: int, workers: int, label: str) -> None:
    """Call `do` with each number under `count`, `workers` at a time; raise what one raises."""
    with ThreadPoolExecutor(workers) as pool:
        try:
            for _ in tqdm(pool.map(do, range(count)), desc=label, total=count, mininterval=5):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class _Writing:
    """A uint8 array in a file that gets its name once it is whole."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self._path, self._shape = path, shape
        self._unfinished = path.with_suffix(f".{os.getpid()}.npy")

    def __enter__(self) -> NDArray[np.uint8]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        mapped: NDArray[np.uint8] = np.lib.format.open_memmap(
            self._unfinished, mode="w+", dtype=np.uint8, shape=self._shape
        )
        self._mapped = mapped
        return mapped

    def __exit__(self, kind: object, *_: object) -> None:
        self._mapped.flush()  # type: ignore[attr-defined]
        if kind is None:
            self._unfinished.replace(self._path)
        else:
            self._unfinished.unlink(missing_ok=True)


def _plain(steps: Sequence[tuple[str, Mapping[str, Any]]]) -> list[list[Any]]:
    return [[name, dict(params)] for name, params in steps]


def _path(cache: Path, records: Sequence[Record], described: list[Any]) -> Path:
    ids = [f"{r.source}/{r.path}" for r in records]
    key = hashlib.sha256(json.dumps([described, ids], sort_keys=True).encode()).hexdigest()[:16]
    return cache / f"{described[0]}-{key}.npy"


def _load(path: Path) -> NDArray[np.uint8]:
    loaded: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return loaded
