"""`python -m inference_worker.quantise BUNDLE PHOTOS CACHE`: a bundle's members in integers.

What each layer's numbers range over, photos have to show: a folder of dermoscopic ones like those
that will come (post-training quantisation by NNCF; Jacob 2018). Every second one calibrates; by the
others it is measured how far integers are off, from which follows near which decisions a worker
asks again in floating point. Of the photos nothing is kept but those ranges and biases corrected by
means over all of them. A worker uses what lies in CACHE, which is `cache` in DERMAI_HOME, with
INFERENCE_ENGINE=openvino-int8.
"""

from __future__ import annotations

import argparse
import struct
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from inference_worker import engines, exactness, openvino_cache, quantised
from inference_worker.bundle import BundleError, load
from inference_worker.engine_options import (
    INT8,
    Options,
    cpu_multiplies_bfloat16,
    cpu_multiplies_int8,
    threads,
)
from inference_worker.errors import ConversionError, ModelError
from inference_worker.openvino_engine import OpenVinoEngine, OpenVinoNetwork
from inference_worker.pipeline import Pipeline
from inference_worker.quantised import Measured, Quantised
from inference_worker.verdict import ImageType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inference_worker.bundle import Bundle
    from inference_worker.engine_options import Precision
    from inference_worker.pixels import Pixels
    from inference_worker.verdict import Classification

FEWEST: Final = 128
"""Photos, of which half calibrate."""
FEWEST_MALIGNANT: Final = 8
"""Photos to measure by that the bundle holds for rather malignant than not."""
MOST: Final = 600
MARGIN: Final = 2.0
"""The band is so many times the largest error seen."""

_SUFFIXES: Final = {".jpg", ".jpeg", ".png"}


_UNREADABLE: Final = (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError)
"""What PIL raises of a file that is no photo."""


class QuantiseError(ValueError):
    """The bundle cannot be made into integers here; says what is missing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Quantise, measure, keep; return the exit status: 2 for what the user can mend."""
    parser = argparse.ArgumentParser(
        prog="python -m inference_worker.quantise",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", type=Path, help="a bundle's folder")
    parser.add_argument("photos", type=Path, help="a folder of .jpg or .png, dermoscopic")
    parser.add_argument("cache", type=Path, help="the folder of converted networks")
    told = parser.parse_args(arguments)
    try:
        found = quantise(told.bundle, told.photos, told.cache)
    except (QuantiseError, BundleError, ConversionError, ModelError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{found}\n")
    return 0


def quantise(folder: Path, photos: Path, cache: Path) -> str:
    """Make the bundle in `folder` into integers and keep them in `cache`; return what came of it.

    Raises `QuantiseError`, `BundleError`, `ConversionError`, `ModelError`.
    """
    paths = find(photos)
    nncf = _nncf()
    _check(cache)
    bundle = load(folder)
    precision: Precision = "bfloat16" if cpu_multiplies_bfloat16() else "float32"
    floating = engines.build(bundle, Options("openvino", precision, cache))
    usual, (*_, float32, _reference) = floating.ladder[0], floating.ladder
    exact = Pipeline(bundle, floating.only(float32))
    models = _integers(nncf, bundle, [_view(exact, path) for path in paths[::2]], cache)
    coarse = Pipeline(bundle, floating.only(_rung(models, float32)))
    beside = exact if usual is float32 else Pipeline(bundle, floating.only(usual))
    measured, ratio = measure(bundle, coarse, exact, beside, paths[1::2])
    made = quantised.folder(bundle, cache)
    try:
        quantised.keep(Quantised(models, measured), made)
    except OSError as error:
        raise QuantiseError(f"cannot write {made} ({error})") from error
    return f"{made}: {advice(measured, ratio, usual.name)}"


def advice(measured: Measured, ratio: float, usual: str) -> str:
    """Return what was measured, in words, and whether it is worth it.

    `ratio` is the time of integers alone as a share of that of `usual`, the rung that would be the
    first without them; a photo that is asked again costs that on top.
    """
    worth = (
        f"Set INFERENCE_ENGINE=openvino-{INT8} and start the workers."
        if ratio + measured.asked_again < 1
        else "With what is asked again that is no gain here: leave INFERENCE_ENGINE as it is."
    )
    return (
        f"integers took {ratio:.2f} of the time of {usual} for a photo; of {measured.photos} "
        f"photos they were off by {measured.largest:.3f} in log-odds at most; within "
        f"{measured.band:.3f} of a decision floating point is asked again, which was so of "
        f"{measured.asked_again:.0%}. {worth}"
    )


def find(photos: Path) -> list[Path]:
    """Return the photos in a folder and those below it, evenly chosen. Raises `QuantiseError`."""
    paths = sorted(p for p in photos.rglob("*") if p.suffix.lower() in _SUFFIXES)
    if len(paths) < FEWEST:
        raise QuantiseError(
            f"{photos} holds {len(paths)} photos (.jpg, .png): integers need at least {FEWEST} "
            f"dermoscopic ones to be calibrated and measured by, and do better with {MOST}"
        )
    chosen = np.linspace(0, len(paths) - 1, min(len(paths), MOST)).round().astype(int)
    return [paths[i] for i in chosen]


def measure(
    bundle: Bundle, coarse: Pipeline, exact: Pipeline, usual: Pipeline, paths: Sequence[Path]
) -> tuple[Measured, float]:
    """Return how far `coarse` is from `exact` on photos, and its time as a share of `usual`'s.

    That one is what would run without integers; it may be `exact` itself.
    """
    temperature = bundle.manifest.temperature
    apart: list[float] = []
    told: list[Classification] = []
    took: dict[Pipeline, list[float]] = {coarse: [], exact: [], usual: []}
    for path in tqdm(paths, desc="measure", unit="photo", mininterval=5):
        pixels = _read(path)
        answers = []
        for pipeline, seconds in took.items():
            started = time.perf_counter()
            found = pipeline.run(pixels, always_classify=True).classification
            seconds.append(time.perf_counter() - started)
            if found is None:
                raise QuantiseError(f"the bundle says nothing of {path}: give another photo")
            answers.append(found)
        # An engine's error is one of logits, which the temperature has divided.
        apart.append(exactness.distance(*answers[:2]) * temperature)
        told.append(answers[0])
    malignant = sum(one.p_malignant >= 1 / 2 for one in told)
    if malignant < FEWEST_MALIGNANT:
        raise QuantiseError(
            f"the bundle holds {malignant} of {len(told)} photos for rather malignant than not: "
            f"it takes {FEWEST_MALIGNANT} to measure melanoma against other malignancies by; add "
            "photos of malignant lesions"
        )
    band = max(MARGIN * max(apart), engines.BFLOAT16_BAND)
    again = [exactness.could_differ(one, ImageType.DERMOSCOPIC, band / temperature) for one in told]
    measured = Measured(
        vnni=cpu_multiplies_int8(),
        photos=len(paths),
        malignant=malignant,
        largest=max(apart),
        band=band,
        asked_again=sum(again) / len(again),
    )
    return measured, median(took[coarse]) / median(took[usual])


def _check(cache: Path) -> None:
    """Raise `QuantiseError` where nothing can be written in `cache`, before the work is done."""
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            pass
    except OSError as error:
        raise QuantiseError(f"cannot write {cache} ({error.strerror})") from error


def _nncf() -> Any:
    openvino_cache.runtime()  # before NNCF, which would report its use to its maker
    try:
        import nncf
    except ImportError as error:
        raise QuantiseError(
            "integers are made by NNCF, which is not installed: pip install -c "
            "deploy/constraints.txt nncf"
        ) from error
    return nncf


def _integers(nncf: Any, bundle: Bundle, views: Sequence[Any], cache: Path) -> Mapping[str, Any]:
    models = {k: _unnamed(model) for k, model in openvino_cache.networks(bundle, cache).items()}
    seen = nncf.Dataset(views)
    return {
        name: nncf.quantize(
            models[name],
            seen,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(views),
        )
        for name in openvino_cache.member_names(len(bundle.members))
    }


def _unnamed(model: Any) -> Any:
    """Return a network without the note of where its weights lie, which would be written too."""
    weights = openvino_cache.weights_of(model)
    return (
        model if weights is None else openvino_cache.core().read_model(weights.with_suffix(".xml"))
    )


def _rung(models: Mapping[str, Any], exact: engines.Rung) -> engines.Rung:
    number = threads()
    quick = [OpenVinoEngine(OpenVinoNetwork(m, "float32", number)) for m in models.values()]
    members = map(engines.Anchored, quick, exact.members)
    return engines.Rung(f"openvino-{INT8}", tuple(members), 0.0)


def _view(pipeline: Pipeline, path: Path) -> Any:
    """Return what a member sees of a photo as it stands, float32 1 × 3 × side × side."""
    photo = pipeline.begin(_read(path), always_classify=True)
    if photo.views is None:
        raise QuantiseError(f"the bundle says nothing of {path}: give another photo")
    # A copy: a slice would hold all views of every photo.
    return photo.views[:1].numpy().copy()


def _read(path: Path) -> Pixels:
    """Return the pixels of a photo that the operator vouches for. Raises `QuantiseError`."""
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except _UNREADABLE as error:
        raise QuantiseError(f"{path} cannot be read as a photo ({error}): remove it") from error
    return np.asarray(upright, np.uint8)


if __name__ == "__main__":
    sys.exit(main())
