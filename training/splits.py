"""Which lesion is trained on, which calibrated on, which tested on. Never a lesion on two sides."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.readers import Record

TEST: Final = -1
"""The fold number of the test part."""


class SplitError(ValueError):
    """The records cannot be split as asked."""


@dataclass(frozen=True, slots=True)
class Split:
    """A fold number per record, in the records' order: `TEST`, or 0 … folds − 1.

    `manifest` is one line ``image_id,lesion_id,fold`` per record, sorted; `sha256` is its hash.
    """

    fold: tuple[int, ...]
    manifest: str

    @property
    def sha256(self) -> str:
        """Return the manifest's SHA-256."""
        return hashlib.sha256(self.manifest.encode()).hexdigest()

    def of(self, fold: int) -> list[int]:
        """Return the positions of the records in `fold`."""
        return [i for i, f in enumerate(self.fold) if f == fold]

    def train(self, fold: int) -> list[int]:
        """Return the positions that the member validated on `fold` trains on."""
        return [i for i, f in enumerate(self.fold) if f not in (TEST, fold)]

    @property
    def test(self) -> list[int]:
        """Return the positions of the test part."""
        return self.of(TEST)

    @property
    def development(self) -> list[int]:
        """Return all positions but the test part's."""
        return [i for i, f in enumerate(self.fold) if f != TEST]


def by_lesion(records: Sequence[Record], *, test_share: float, folds: int, seed: int) -> Split:
    """Split by lesion, stratified by `dx`: one part for the test, the rest into `folds`.

    Raises `SplitError` where a class has too few lesions to stand in every part.
    """
    return _by([r.lesion_id for r in records], records, test_share, folds, seed)


def by_image(records: Sequence[Record], *, test_share: float, folds: int, seed: int) -> Split:
    """Split photo by photo, as the sources do: photos of one lesion stand on both sides.

    Only to show how much that flatters. Raises `SplitError`.
    """
    return _by([r.image_id for r in records], records, test_share, folds, seed)


def _by(
    groups: Sequence[str], records: Sequence[Record], test_share: float, folds: int, seed: int
) -> Split:
    label = {group: r.dx or "" for group, r in zip(groups, records, strict=True)}
    rng = np.random.default_rng(seed)
    fold_of: dict[str, int] = {}
    for dx in sorted(set(label.values())):
        lesions = sorted(lesion for lesion, own in label.items() if own == dx)
        n_test = round(len(lesions) * test_share)
        if len(lesions) - n_test < folds:
            msg = f"class {dx!r} has {len(lesions)} lesions: too few for a test and {folds} folds"
            raise SplitError(msg)
        shuffled = [lesions[i] for i in rng.permutation(len(lesions))]
        fold_of |= dict.fromkeys(shuffled[:n_test], TEST)
        fold_of |= {lesion: i % folds for i, lesion in enumerate(shuffled[n_test:])}
    fold = tuple(fold_of[group] for group in groups)
    return Split(fold, _manifest(records, fold))


def share(
    records: Sequence[Record], rows: Sequence[int], part: float, seed: int
) -> tuple[list[int], list[int]]:
    """Divide `rows` by lesion into about 1 − `part` and `part` of each diagnosis's lesions.

    Of a diagnosis with two lesions or more, each side has one at least.
    """
    lesions: dict[str, set[str]] = {}
    for i in rows:
        lesions.setdefault(records[i].dx or "", set()).add(records[i].lesion_id)
    rng = np.random.default_rng((seed, 1))
    chosen: set[str] = set()
    for _dx, own in sorted(lesions.items()):
        count = min(max(1, round(len(own) * part)), len(own) - 1)
        chosen.update(np.array(sorted(own))[rng.permutation(len(own))[:count]].tolist())
    return (
        [i for i in rows if records[i].lesion_id not in chosen],
        [i for i in rows if records[i].lesion_id in chosen],
    )


def _manifest(records: Sequence[Record], fold: Sequence[int]) -> str:
    lines = (f"{r.image_id},{r.lesion_id},{f}\n" for r, f in zip(records, fold, strict=True))
    return "".join(sorted(lines))
