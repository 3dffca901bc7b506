"""Near-identical photos count as one lesion, whatever their data set says of them.

Two photos whose perceptual hashes are close are only candidates: of HAM10000's 431 pairs within 4
of 64 bits, 109 show one lesion by its own metadata and 322 show two. So a pair must also look alike
in gray at 32 × 32 px: a correlation of .95 keeps 103 of the 109 and 12 of the 322, among these both
pairs that are known to be one lesion under two names (`readers.SAME_LESION`). Within 8 bits that
finds the 11 pairs inside ISIC 2017's training part and 3 across to its validation part.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import imagehash
import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from training.readers import Source, register

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.readers import Record

DISTANCE: Final = 8
"""Bits of 64 within which hashes make a candidate, where a recipe does not say."""

ALIKE: Final = 0.95
"""Correlation in gray from which a candidate is the same photo, or nearly."""

_SIDE: Final = 32
_DECODED: Final = 128
_ROWS: Final = 256


@dataclass(frozen=True, slots=True)
class Looks:
    """What photos look like: `hashes` n × 8 bytes (DCT, 64 bits), `gray` uint8 n × 1024."""

    hashes: NDArray[np.uint8]
    gray: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Kin:
    """For each photo a number that it shares with its near-duplicates, and one with its lesion.

    `photo` is the same for what is nearly the same photo; `lesion` for photos of one lesion too,
    and for what a chain of both joins.
    """

    photo: NDArray[np.int64]
    lesion: NDArray[np.int64]


def merge(records: Sequence[Record], data: Path, distance: int, workers: int = 1) -> list[Record]:
    """Return the records with one `lesion_id` for all photos that belong together, as `kin` says.

    The first lesion's name stands.
    """
    group = kin(records, data, distance, workers).lesion
    head = np.unique(group, return_index=True)[1]
    return [
        replace(record, lesion_id=records[head[own]].lesion_id)
        for record, own in zip(records, group, strict=True)
    ]


def kin(records: Sequence[Record], data: Path, distance: int, workers: int = 1) -> Kin:
    """Return which of the photos, of one data set or several, belong together.

    Nearly the same are photos of one name in one register (`readers.register`), and those whose
    hashes differ in at most `distance` of 64 bits and which are `ALIKE`.
    """
    seen = look(records, data, workers)
    candidates = close_pairs(seen.hashes, distance)
    near = [candidates[correlation(seen.gray, candidates) >= ALIKE]]
    near.append(_same([(register(r.source), r.image_id) for r in records]))
    lesion = _same([(register(r.source), r.lesion_id or f"photo {r.image_id}") for r in records])
    return Kin(_joined(near, len(records)), _joined([*near, lesion], len(records)))


def look(records: Sequence[Record], data: Path, workers: int = 1) -> Looks:
    """Return what each photo looks like, decoded by `workers` threads."""
    sources = {name: Source(data, name) for name in {r.source for r in records}}

    def one(record: Record) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
        photo = sources[record.source].gray(record.path, _DECODED)
        small = photo.resize((_SIDE, _SIDE), Image.Resampling.BOX)
        return imagehash.phash(photo).hash.ravel(), np.asarray(small, np.uint8).ravel()

    with ThreadPoolExecutor(workers) as pool:
        done = tqdm(pool.map(one, records), desc="hash photos", total=len(records), mininterval=5)
        found = list(done)
    hashes = np.packbits(np.array([bits for bits, _ in found], np.bool_), axis=1)
    return Looks(hashes, np.array([gray for _, gray in found], np.uint8))


def close_pairs(packed: NDArray[np.uint8], distance: int) -> NDArray[np.int64]:
    """Return the pairs (i, j), i < j, of rows of n × 8 bytes that differ in few bits."""
    whole = np.ascontiguousarray(packed).view(np.uint64)[:, 0]
    found = [np.zeros((0, 2), np.int64)]
    for start in range(0, len(whole), _ROWS):
        differ = np.bitwise_count(whole[start : start + _ROWS, None] ^ whole[None, :])
        i, j = np.nonzero(differ <= distance)
        ahead = i + start < j
        found.append(np.stack([i[ahead] + start, j[ahead]], 1))
    return np.concatenate(found)


def correlation(gray: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return Pearson's correlation of each pair of rows of n × pixels; 0 where one is flat."""
    found = np.zeros(len(pairs))
    for start in range(0, len(pairs), _ROWS):
        part = pairs[start : start + _ROWS]
        first, second = (_unit(gray[part[:, side]]) for side in (0, 1))
        found[start : start + _ROWS] = (first * second).sum(1)
    return found


def _unit(gray: NDArray[np.uint8]) -> NDArray[np.float64]:
    centred = gray - gray.mean(1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.divide(
        centred, length, out=np.zeros_like(centred), where=length > 0
    )
    return unit


def _same(names: Sequence[Hashable]) -> NDArray[np.int64]:
    """Return a pair for each name that stood before: where it stood first, and where again."""
    first: dict[Hashable, int] = {}
    pairs = [(first.setdefault(name, i), i) for i, name in enumerate(names)]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)


def _joined(links: Sequence[NDArray[np.int64]], n: int) -> NDArray[np.int64]:
    pairs = np.concatenate(links)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, group = connected_components(graph, directed=False)
    return np.asarray(group, np.int64)
