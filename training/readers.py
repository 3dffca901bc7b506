"""Readers of the public data sets into `Record`s, as their makers publish them.

HAM10000, ISIC 2017 and ISIC 2018 task 1 are read, too, as this project packs them, small.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from training.source import DataError, Source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["DataError", "Record", "Source", "knows_lesions", "read", "register"]

HAM10000: Final = "ham10000"
HAM10000_CROPS: Final = "ham10000_224"
ISIC2017: Final = "isic2017"
ISIC2018_TASK1: Final = "isic2018_task1"
ISIC2019: Final = "isic2019"
ISIC2020: Final = "isic2020"
FOLDER: Final = "folder:"
"""``folder:NAME`` reads ``NAME/CLASS/*.jpg``, the folder's name being the diagnosis."""

_ISIC: Final = frozenset({HAM10000, HAM10000_CROPS, ISIC2017, ISIC2018_TASK1, ISIC2019, ISIC2020})
_WITH_LESIONS: Final = frozenset({HAM10000, ISIC2019, ISIC2020})
_PARTS: Final = (("train", "Training"), ("val", "Validation"))
_LANDSCAPE: Final = 4 / 3

ISIC2019_CLASSES: Final = {
    "MEL": "mel",
    "NV": "nv",
    "BCC": "bcc",
    "AK": "akiec",
    "BKL": "bkl",
    "DF": "df",
    "VASC": "vasc",
    "SCC": "akiec",
}
"""Squamous cell carcinoma goes with actinic keratosis: of the seven, `akiec` is what it grows from
and, like it, counted malignant. UNK, which no training photo has, has no class and is left out.
"""

SAME_LESION: Final = (("ISIC_0025226", "ISIC_0030074"), ("ISIC_0027027", "ISIC_0029036"))
"""Near-identical HAM10000 photos that the metadata gives two lesions: one lesion each."""


@dataclass(frozen=True, slots=True)
class Record:
    """One photo and what is known of it. None or "" means unknown.

    `dx` is one of the seven classes, or what a recipe's targets name; `melanoma` is known for a
    photo that has only a yes or no. `lesion_id` is what must not stand on two sides of a split:
    the lesion, or the patient where the data set knows no more. `aspect` is width over height
    before the data set squashed the photo; None where it did not.
    """

    image_id: str
    lesion_id: str
    source: str
    path: str
    dx: str | None = None
    melanoma: bool | None = None
    mask_path: str | None = None
    dx_type: str = ""
    age: float | None = None
    sex: str = ""
    site: str = ""
    aspect: float | None = None


def read(data: Path, name: str) -> list[Record]:
    """Return the records of the data set `name` under the folder `data`. Raises `DataError`."""
    if name.startswith(FOLDER):
        return _folder(Source(data, name.removeprefix(FOLDER)))
    if name not in _READERS:
        known = f"{', '.join(_READERS)}, {FOLDER}NAME"
        raise DataError(f"unknown data set {name!r}: there are readers for {known}")
    return _READERS[name](Source(data, name))


def register(source: str) -> str:
    """Return within what the photos' and lesions' names of `source` are unique.

    The ISIC archive numbers photos and lesions once for all of its data sets, which share many; a
    folder's names are its own.
    """
    return "isic" if source in _ISIC else source


def knows_lesions(name: str) -> bool:
    """Tell whether the data set `name` says which photos show one lesion, or one patient."""
    return name in _WITH_LESIONS


def _ham10000(source: Source) -> list[Record]:
    merged = {second: first for first, second in SAME_LESION}
    table = source.first(
        "metadata.csv", "HAM10000_metadata.csv", "HAM10000_metadata", "HAM10000_metadata.tab"
    )
    images = source.photos_in("images", "HAM10000_images_part_1", "HAM10000_images_part_2")
    masks = source.photos_in("masks", "HAM10000_segmentations_lesion_tschandl")
    rows = source.rows(table)
    lesions = {row["image_id"]: row["lesion_id"] for row in rows}
    joined = {
        lesions[second]: lesions[first]
        for second, first in merged.items()
        if first in lesions and second in lesions
    }
    return [
        Record(
            image_id=row["image_id"],
            lesion_id=joined.get(row["lesion_id"], row["lesion_id"]),
            source=source.name,
            path=_path(images, row["image_id"], source),
            dx=row["dx"],
            melanoma=row["dx"] == "mel",
            mask_path=_mask(masks, row["image_id"]),
            dx_type=row["dx_type"],
            age=_number(row["age"]),
            sex=row["sex"],
            site=row["localization"],
        )
        for row in rows
    ]


def _ham10000_crops(source: Source) -> list[Record]:
    """Return the crops with no label of their own: they are views of photos in `ham10000`."""
    return [
        Record(image_id=PurePosixPath(p).stem, lesion_id="", source=source.name, path=p)
        for p in source.names("images")
    ]


def _isic2017(source: Source) -> list[Record]:
    """Read training and validation part: as packed, squashed; as published, the former at least."""
    packed = source.has("train/classes.csv")
    found = []
    for short, long in _PARTS:
        folder = f"{short}/images" if packed else f"ISIC-2017_{long}_Data"
        official = f"ISIC-2017_{long}_Part3_GroundTruth.csv"
        if short != "train" and not packed and not source.has(official):
            continue
        rows = source.rows(source.first(f"{short}/classes.csv", official))
        images = source.photos_in(folder)
        found += [
            Record(
                image_id=row["image_id"],
                lesion_id=row["image_id"],
                source=source.name,
                path=_path(images, row["image_id"], source),
                melanoma=float(row["melanoma"]) > 0,
                aspect=_LANDSCAPE if packed else None,
            )
            for row in rows
        ]
    return found


def _isic2018_task1(source: Source) -> list[Record]:
    images = source.photos_in("images", "ISIC2018_Task1-2_Training_Input")
    masks = source.photos_in("masks", "ISIC2018_Task1_Training_GroundTruth")
    if not images:
        raise DataError(
            f"{source.name} has no photos in 'images' or 'ISIC2018_Task1-2_Training_Input': see "
            "docs/training.md"
        )
    return [
        Record(name, name, source.name, path, mask_path=_mask(masks, name))
        for name, path in images.items()
    ]


def _isic2019(source: Source) -> list[Record]:
    """Read the challenge's two tables; a photo without a lesion's name is a lesion of its own."""
    known = {row["image"]: row for row in source.rows("ISIC_2019_Training_Metadata.csv")}
    found = []
    for row in source.rows("ISIC_2019_Training_GroundTruth.csv"):
        name = row["image"]
        one_hot = [dx for column, dx in ISIC2019_CLASSES.items() if float(row.get(column) or 0) > 0]
        if not one_hot:
            continue
        about = known.get(name, {})
        found.append(
            Record(
                image_id=name,
                lesion_id=about.get("lesion_id") or name,
                source=source.name,
                path=f"ISIC_2019_Training_Input/{name}.jpg",
                dx=one_hot[0],
                melanoma=one_hot[0] == "mel",
                age=_number(about.get("age_approx")),
                sex=about.get("sex", ""),
                site=about.get("anatom_site_general", ""),
            )
        )
    return found


def _isic2020(source: Source) -> list[Record]:
    """Read the challenge's table: melanoma yes or no, grouped by patient."""
    return [
        Record(
            image_id=row["image_name"],
            lesion_id=row["patient_id"] or row["image_name"],
            source=source.name,
            path=f"train/{row['image_name']}.jpg",
            melanoma=float(row["target"]) > 0,
            age=_number(row.get("age_approx")),
            sex=row.get("sex", ""),
            site=row.get("anatom_site_general_challenge", ""),
        )
        for row in source.rows("train.csv")
    ]


def _folder(source: Source) -> list[Record]:
    """Read ``CLASS/*.jpg``: each photo is a lesion of its own till near-duplicates are merged."""
    return [
        Record(
            image_id=p.removesuffix(PurePosixPath(p).suffix),
            lesion_id=p,
            source=source.name,
            path=p,
            dx=PurePosixPath(p).parent.name,
            melanoma=PurePosixPath(p).parent.name in {"mel", "melanoma"},
        )
        for p in source.photos()
    ]


def _number(text: str | None) -> float | None:
    return float(text) if text else None


def _path(images: dict[str, str], name: str, source: Source) -> str:
    if name not in images:
        raise DataError(f"{source.name} has no photo {name!r}, which its table names")
    return images[name]


def _mask(masks: dict[str, str], name: str) -> str | None:
    return masks.get(name) or masks.get(f"{name}_segmentation")


_READERS: Final[dict[str, Callable[[Source], list[Record]]]] = {
    HAM10000: _ham10000,
    HAM10000_CROPS: _ham10000_crops,
    ISIC2017: _isic2017,
    ISIC2018_TASK1: _isic2018_task1,
    ISIC2019: _isic2019,
    ISIC2020: _isic2020,
}
