"""Near-identical photos count as one lesion, whatever their data set says of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import imagehash
import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from training.readers import Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.readers import Record

_ROWS = 256


def merge(records: Sequence[Record], data: Path, distance: int) -> list[Record]:
    """Return the records with one `lesion_id` for all photos that belong together.

    Photos belong together that share a lesion, or whose perceptual hashes differ in at most
    `distance` of 64 bits, or that a chain of such photos joins. The first lesion's name stands.
    """
    n = len(records)
    _, lesion = np.unique([record.lesion_id for record in records], return_inverse=True)
    first = np.unique(lesion, return_index=True)[1][lesion]
    pairs = np.concatenate(
        [np.stack([np.arange(n), first], 1), close_pairs(hashes(records, data), distance)]
    )
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, group = connected_components(graph, directed=False)
    head = np.unique(group, return_index=True)[1]
    return [
        replace(record, lesion_id=records[head[own]].lesion_id)
        for record, own in zip(records, group, strict=True)
    ]


def hashes(records: Sequence[Record], data: Path) -> NDArray[np.uint8]:
    """Return the perceptual hash (DCT, 64 bits) of each photo, n × 8 bytes."""
    sources = {name: Source(data, name) for name in {r.source for r in records}}
    found = [
        imagehash.phash(Image.fromarray(sources[r.source].pixels(r.path))).hash.ravel()
        for r in tqdm(records, desc="hash photos", unit="photo", mininterval=5)
    ]
    return np.packbits(np.array(found, np.bool_), axis=1)


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
