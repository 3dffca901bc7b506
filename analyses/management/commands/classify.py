"""`manage.py classify`: judge files or folders of dermoscopic photos into one CSV."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from analyses import heatmap, imaging
from analyses.exceptions import IntakeError, TooLargeError
from analyses.export import escaped
from analyses.models import FailureCode, Status
from inference_worker.verdict import CLASSES, Category

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from django.core.management.base import CommandParser
    from numpy.typing import NDArray

    from inference_worker.pipeline import Pipeline
    from inference_worker.verdict import Verdict

COLUMNS: Final = (
    "image",
    "status",
    "category",
    "decided",
    "confidence",
    "p_melanoma",
    "p_malignant",
    *CLASSES,
    *(category.value for category in Category),
    "quality",
)
SUFFIXES: Final = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".tif", ".tiff", ".heic", ".heif")
)
UNREADABLE: Final = "unreadable"


class Command(BaseCommand):
    """Adapter from files to the pipeline and from verdicts to rows."""

    help = (
        "Judge dermoscopic photos. One CSV row a file; the columns benign, suspicious, malignant "
        "and melanoma are shares of the votes. A file that cannot be read is a row too."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take files or folders, and where the answers go."""
        parser.add_argument("paths", nargs="+", metavar="PATH", help="a photo, or a folder of them")
        parser.add_argument("--csv", required=True, type=Path, metavar="OUT", help="CSV to write")
        parser.add_argument(
            "--bundle", type=Path, default=settings.BUNDLE_DIR, metavar="DIR", help="model bundle"
        )
        parser.add_argument(
            "--heatmaps", type=Path, metavar="DIR", help="write transparent heat maps there, as PNG"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Judge every file. Raises `CommandError` where the bundle or a target is of no use."""
        # Only this command needs it, and it takes seconds to import.
        from inference_worker import pipeline

        files = list(photos(options["paths"]))
        try:
            model = pipeline.current(options["bundle"], settings.INFERENCE_OPTIONS)
            pictures = Pictures(options["heatmaps"])
            # A file name may hold bytes that are no text.
            out = options["csv"].open("w", newline="", encoding="utf-8", errors="backslashreplace")
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        counts: Counter[str] = Counter()
        with out:
            writer = csv.writer(out)
            writer.writerow(COLUMNS)
            for path in tqdm(files, unit="photo", file=sys.stderr):
                row = self._row(path, model, pictures)
                counts[row[1]] += 1
                writer.writerow([escaped(cell) for cell in row])
                out.flush()  # what is judged is kept if the run is stopped
        told = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
        self.stdout.write(f"{len(files)} files ({told or 'none'}), written to {options['csv']}")

    def _row(self, path: str, model: Pipeline, pictures: Pictures) -> list[Any]:
        """Return the row of one file. Whatever is wrong with the file stays within its row."""
        try:
            verdict = model.run(read(Path(path)), always_classify=True)
            pictures.write(path, verdict)
        except IntakeError as error:
            return failed(path, error.code)
        except OSError as error:
            self._tell(path, error)
            return failed(path, UNREADABLE)
        except MemoryError as error:
            self._tell(path, error)
            return failed(path, FailureCode.OUT_OF_MEMORY.value)
        except Exception as error:  # noqa: BLE001 - the next photo must have its turn
            self._tell(path, error)
            return failed(path, getattr(error, "code", FailureCode.MODEL_ERROR.value))
        return row_of(path, verdict)

    def _tell(self, path: str, error: Exception) -> None:
        self.stderr.write(f"{path!r}: {error}")


class Pictures:
    """Writes the heat maps into one folder, each under its photo's name; None writes nothing."""

    def __init__(self, folder: Path | None) -> None:
        """Make the folder. Raises `OSError`."""
        self._folder = folder
        self._taken: set[str] = set()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def write(self, path: str, verdict: Verdict) -> None:
        """Write the heat map of the photo at `path`. There is no photo in it."""
        if self._folder is None or verdict.heatmap is None:
            return
        png = heatmap.render(asdict(verdict.heatmap), width=verdict.width, height=verdict.height)
        (self._folder / self._name(Path(path).stem)).write_bytes(png)

    def _name(self, stem: str) -> str:
        """Return a name that no other photo of this run has: folders repeat names."""
        name, number = f"{stem}.png", 1
        while name in self._taken:
            number += 1
            name = f"{stem}-{number}.png"
        self._taken.add(name)
        return name


def photos(paths: Sequence[str]) -> Iterator[str]:
    """Yield the files among `paths` as they are given, and the photos in the folders, sorted."""
    for path in paths:
        if Path(path).is_dir():
            found = (p for p in Path(path).rglob("*") if p.is_file())
            yield from sorted(str(p) for p in found if p.suffix.lower() in SUFFIXES)
        else:
            yield path


def read(path: Path) -> NDArray[np.uint8]:
    """Return the photo as uint8 height × width × 3. Raises `OSError`, `IntakeError`.

    A photo that is too small for the gate at upload is judged here all the same.
    """
    if path.stat().st_size > settings.UPLOAD_MAX_BYTES:
        raise TooLargeError(limit_bytes=settings.UPLOAD_MAX_BYTES)
    data = path.read_bytes()
    return imaging.decode(data, max_pixels=settings.UPLOAD_MAX_PIXELS, min_side=1).pixels


def failed(path: str, code: str) -> list[Any]:
    """Return the row of a file that could not be judged."""
    numbers = len(COLUMNS) - len(("image", "status", "quality"))
    return [path, Status.FAILED.value, *[""] * numbers, code]


def row_of(path: str, verdict: Verdict) -> list[Any]:
    """Return the row of a judged photo. What the bundle does not know is empty."""
    told = verdict.classification
    if told is None:
        return failed(path, FailureCode.MODEL_ERROR.value)
    codes = [*([verdict.rejection.value] if verdict.rejection else []), *verdict.quality.notes]
    return [
        path,
        (Status.REJECTED if verdict.rejection else Status.COMPLETED).value,
        told.category.value,
        told.decided,
        told.confidence,
        told.p_melanoma,
        told.p_malignant,
        *(told.probabilities.get(name) for name in CLASSES),
        *(told.votes.share(category) for category in Category),
        " ".join(codes),
    ]
