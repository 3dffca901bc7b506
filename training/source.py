"""A data set's files, in a zip or in a folder of the same layout."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from inference_worker.pixels import Pixels

PHOTOS: Final = frozenset({".jpg", ".jpeg", ".png"})


class DataError(ValueError):
    """A data set is not where it was looked for, or is not laid out as its reader expects."""


def at_hand(data: Path, name: str) -> bool:
    """Tell whether the folder `data` has a data set `name`."""
    return (data / name).is_dir() or (data / f"{name}.zip").is_file()


class Source:
    """A data set's files. Threads may share it, processes may not."""

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

    def has(self, path: str) -> bool:
        """Tell whether there is a file `path`."""
        if self._zip is not None:
            return path in self._zip.NameToInfo
        return (self._folder / path).is_file()

    def first(self, *paths: str) -> str:
        """Return the first of `paths` that is there. Raises `DataError`."""
        for path in paths:
            if self.has(path):
                return path
        raise DataError(f"{self.name} has none of {', '.join(paths)}: see docs/training.md")

    def names(self, folder: str) -> list[str]:
        """Return the paths of the files in `folder`, sorted."""
        if self._zip is not None:
            paths = self._zip.namelist()
        else:
            found = (self._folder / folder).glob("*")
            paths = [p.relative_to(self._folder).as_posix() for p in found]
        return sorted(p for p in paths if PurePosixPath(p).parent.as_posix() == folder)

    def photos_in(self, *folders: str) -> dict[str, str]:
        """Return the paths of the photos in `folders` by their names without extension."""
        found = [PurePosixPath(p) for folder in folders for p in self.names(folder)]
        return {p.stem: p.as_posix() for p in found if p.suffix.lower() in PHOTOS}

    def photos(self) -> list[str]:
        """Return the paths of all photos one folder deep, sorted."""
        if self._zip is not None:
            paths = self._zip.namelist()
        else:
            paths = [p.relative_to(self._folder).as_posix() for p in self._folder.glob("*/*")]
        deep = [PurePosixPath(p) for p in paths]
        return sorted(str(p) for p in deep if len(p.parts) == 2 and p.suffix.lower() in PHOTOS)  # noqa: PLR2004 - class and file

    def rows(self, path: str) -> list[dict[str, str]]:
        """Return the rows of a table whose columns stand between commas or tabs."""
        text = self.read(path).decode("utf-8-sig")
        comma = "," if "\t" not in text.partition("\n")[0] else "\t"
        return list(csv.DictReader(io.StringIO(text), delimiter=comma))

    def pixels(self, path: str) -> Pixels:
        """Return a photo as uint8 height × width × 3 RGB."""
        return np.asarray(Image.open(io.BytesIO(self.read(path))).convert("RGB"), np.uint8)

    def gray(self, path: str, side: int) -> Image.Image:
        """Return a photo in gray, decoded no larger than makes both sides at least `side` px.

        A large JPEG is shrunk by its decoder, many times faster than in full.
        """
        image = Image.open(io.BytesIO(self.read(path)))
        image.draft("L", (side, side))
        return image.convert("L")

    def mask(self, path: str) -> NDArray[np.uint8]:
        """Return a mask as uint8 height × width, 0 or 255."""
        gray = np.asarray(Image.open(io.BytesIO(self.read(path))).convert("L"), np.uint8)
        return np.where(gray > 127, 255, 0).astype(np.uint8)  # noqa: PLR2004 - half of 255


def _open(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except (OSError, zipfile.BadZipFile) as error:
        folder = archive.with_suffix("")
        raise DataError(f"no data set at {archive} or {folder}: {error}") from error
