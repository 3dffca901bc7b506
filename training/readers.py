"""Readers of the public data sets: a zip, or a folder of the same layout, into `Record`s."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from inference_worker.pixels import Pixels

HAM10000: Final = "ham10000"
HAM10000_CROPS: Final = "ham10000_224"
ISIC2017: Final = "isic2017"
ISIC2018_TASK1: Final = "isic2018_task1"
ISIC2019: Final = "isic2019"
ISIC2020: Final = "isic2020"
FOLDER: Final = "folder:"
"""``folder:NAME`` reads ``NAME/CLASS/*.jpg``, the folder's name being the diagnosis."""

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

_PHOTOS: Final = frozenset({".jpg", ".jpeg", ".png"})

SAME_LESION: Final = (("ISIC_0025226", "ISIC_0030074"), ("ISIC_0027027", "ISIC_0029036"))
"""Near-identical HAM10000 photos that the metadata gives two lesions: one lesion each."""


class DataError(ValueError):
    """A data set is not where it was looked for, or is not laid out as its reader expects."""


@dataclass(frozen=True, slots=True)
class Record:
    """One photo and what is known of it. None or "" means unknown.

    `dx` is one of the seven classes, or what a recipe's targets name; `melanoma` is known for a
    photo that has only a yes or no. `lesion_id` is what must not stand on two sides of a split:
    the lesion, or the patient where the data set knows no more.
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


class Source:
    """A data set's files, in a zip or in a folder. Not safe to share among processes."""

    def __init__(self, data: Path, name: str) -> None:
        self.name = name
        self._folder = data / name
        archive = data / f"{name}.zip"
        self._zip = None if self._folder.is_dir() else _open(archive)

    def read(self, path: str) -> bytes:
        """Return a file's bytes. Raises `DataError`."""
        try:
            if self._zip is not None:
                return self._zip.read(path)
            return (self._folder / path).read_bytes()
        except (KeyError, OSError) as error:
            raise DataError(f"{self.name} has no file {path!r}") from error

    def names(self, folder: str) -> list[str]:
        """Return the paths of the files in `folder`, sorted."""
        if self._zip is not None:
            paths = self._zip.namelist()
        else:
            found = (self._folder / folder).glob("*")
            paths = [p.relative_to(self._folder).as_posix() for p in found]
        return sorted(p for p in paths if PurePosixPath(p).parent.as_posix() == folder)

    def photos(self) -> list[str]:
        """Return the paths of all photos one folder deep, sorted."""
        if self._zip is not None:
            paths = self._zip.namelist()
        else:
            paths = [p.relative_to(self._folder).as_posix() for p in self._folder.glob("*/*")]
        deep = [PurePosixPath(p) for p in paths]
        return sorted(str(p) for p in deep if len(p.parts) == 2 and p.suffix.lower() in _PHOTOS)  # noqa: PLR2004 - class and file

    def rows(self, path: str) -> list[dict[str, str]]:
        """Return a CSV file's rows."""
        return list(csv.DictReader(io.StringIO(self.read(path).decode())))

    def pixels(self, path: str) -> Pixels:
        """Return a photo as uint8 height × width × 3 RGB."""
        return np.asarray(Image.open(io.BytesIO(self.read(path))).convert("RGB"), np.uint8)

    def mask(self, path: str) -> NDArray[np.uint8]:
        """Return a mask as uint8 height × width, 0 or 255."""
        gray = np.asarray(Image.open(io.BytesIO(self.read(path))).convert("L"), np.uint8)
        return np.where(gray > 127, 255, 0).astype(np.uint8)  # noqa: PLR2004 - half of 255


def read(data: Path, name: str) -> list[Record]:
    """Return the records of the data set `name` under the folder `data`. Raises `DataError`."""
    if name.startswith(FOLDER):
        return _folder(Source(data, name.removeprefix(FOLDER)))
    if name not in _READERS:
        known = f"{', '.join(_READERS)}, {FOLDER}NAME"
        raise DataError(f"unknown data set {name!r}: there are readers for {known}")
    return _READERS[name](Source(data, name))


def _ham10000(source: Source) -> list[Record]:
    masks = set(source.names("masks"))
    merged = {second: first for first, second in SAME_LESION}
    rows = source.rows("metadata.csv")
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
            path=f"images/{row['image_id']}.jpg",
            dx=row["dx"],
            melanoma=row["dx"] == "mel",
            mask_path=_present(f"masks/{row['image_id']}.png", masks),
            dx_type=row["dx_type"],
            age=float(row["age"]) if row["age"] else None,
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
    return [
        Record(
            image_id=row["image_id"],
            lesion_id=row["image_id"],
            source=source.name,
            path=f"{part}/images/{row['image_id']}.jpg",
            melanoma=float(row["melanoma"]) > 0,
        )
        for part in ("train", "val")
        for row in source.rows(f"{part}/classes.csv")
    ]


def _isic2018_task1(source: Source) -> list[Record]:
    masks = set(source.names("masks"))
    return [
        Record(
            image_id=PurePosixPath(p).stem,
            lesion_id=PurePosixPath(p).stem,
            source=source.name,
            path=p,
            mask_path=_present(f"masks/{PurePosixPath(p).stem}.png", masks),
        )
        for p in source.names("images")
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


def _present(path: str, among: set[str]) -> str | None:
    return path if path in among else None


def _open(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except (OSError, zipfile.BadZipFile) as error:
        folder = archive.with_suffix("")
        raise DataError(f"no data set at {archive} or {folder}: {error}") from error


_READERS: Final[dict[str, Callable[[Source], list[Record]]]] = {
    HAM10000: _ham10000,
    HAM10000_CROPS: _ham10000_crops,
    ISIC2017: _isic2017,
    ISIC2018_TASK1: _isic2018_task1,
    ISIC2019: _isic2019,
    ISIC2020: _isic2020,
}
