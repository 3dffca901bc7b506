"""`python -m inference_worker.quantise BUNDLE PHOTOS CACHE`: a bundle's members in integers.

What each layer's numbers range over, photos have to show: a folder of dermoscopic ones like those
that will come (post-training quantisation by NNCF; Jacob 2018). Every second one calibrates; by the
others it is measured how far integers are off, from which follows near which decisions a worker
asks again in floating point. Nothing of a photo is kept but those ranges. A worker uses what lies
in CACHE, which is `cache` in DERMAI_HOME, with INFERENCE_ENGINE=openvino-int8.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from inference_worker import engines, exactness, openvino_cache, quantised
from inference_worker.bundle import BundleError, load
from inference_worker.engine_options import INT8, Options, cpu_multiplies_int8, threads
from inference_worker.errors import ConversionError
from inference_worker.openvino_engine import OpenVinoEngine, OpenVinoNetwork
from inference_worker.pipeline import Pipeline
from inference_worker.quantised import Measured, Quantised
from inference_worker.verdict import ImageType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inference_worker.bundle import Bundle
    from inference_worker.engines import Engines
    from inference_worker.pixels import Pixels
    from inference_worker.verdict import Classification

FEWEST: Final = 32
"""Photos, of which half calibrate."""
MOST: Final = 600
MARGIN: Final = 2.0
"""The band is so many times the largest error seen."""

_SUFFIXES: Final = {".jpg", ".jpeg", ".png"}


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
    except (QuantiseError, BundleError, ConversionError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{found}\n")
    return 0


def quantise(folder: Path, photos: Path, cache: Path) -> str:
    """Make the bundle in `folder` into integers and keep them in `cache`; return what came of it.

    Raises `QuantiseError`, `BundleError`, `ConversionError`.
    """
    paths = find(photos)
    bundle = load(folder)
    floating = engines.build(bundle, Options("openvino", "float32", cache))
    exact = Pipeline(bundle, _alone(floating, floating.ladder[0]))
    models = _integers(bundle, [_view(exact, path) for path in paths[::2]], cache)
    coarse = Pipeline(bundle, _alone(floating, _rung(models, floating)))
    measured, ratio = measure(bundle, coarse, exact, paths[1::2])
    made = quantised.folder(bundle, cache)
    try:
        quantised.keep(Quantised(models, measured), made)
    except OSError as error:
        raise QuantiseError(f"cannot write {made} ({error.strerror})") from error
    return (
        f"{made}: integers took {ratio:.2f} of float32's time for a photo; of {measured.photos} "
        f"photos they were off by {measured.largest:.3f} in log-odds at most; within "
        f"{measured.band:.3f} of a decision floating point is asked again, which was so of "
        f"{measured.asked_again:.0%}. Set INFERENCE_ENGINE=openvino-{INT8} and start the workers."
    )


def find(photos: Path) -> list[Path]:
    """Return the photos in a folder and those below it, evenly chosen. Raises `QuantiseError`."""
    paths = sorted(p for p in photos.rglob("*") if p.suffix.lower() in _SUFFIXES)
    if len(paths) < FEWEST:
        raise QuantiseError(
            f"{photos} holds {len(paths)} photos (.jpg, .png): integers need at least {FEWEST} "
            f"dermoscopic ones to be calibrated and measured by, and do better with {MOST}"
        )
    return paths[:: -(-len(paths) // MOST)]


def measure(
    bundle: Bundle, coarse: Pipeline, exact: Pipeline, paths: Sequence[Path]
) -> tuple[Measured, float]:
    """Return how far `coarse` is from `exact` on photos, and its time as a share of the other's."""
    temperature = bundle.manifest.temperature
    apart: list[float] = []
    told: list[Classification] = []
    took: dict[Pipeline, list[float]] = {coarse: [], exact: []}
    for path in tqdm(paths, desc="measure", unit="photo", mininterval=5):
        pixels = _read(path)
        pair = []
        for pipeline, seconds in took.items():
            started = time.perf_counter()
            found = pipeline.run(pixels, always_classify=True).classification
            seconds.append(time.perf_counter() - started)
            if found is None:
                raise QuantiseError(f"the bundle says nothing of {path}: give another photo")
            pair.append(found)
        # An engine's error is one of logits, which the temperature has divided.
        apart.append(exactness.distance(*pair) * temperature)
        told.append(pair[0])
    band = max(MARGIN * max(apart), engines.BFLOAT16_BAND)
    again = [exactness.could_differ(one, ImageType.DERMOSCOPIC, band / temperature) for one in told]
    measured = Measured(
        cpu_multiplies_int8(), len(paths), max(apart), band, sum(again) / len(again)
    )
    return measured, median(took[coarse]) / median(took[exact])


def _integers(bundle: Bundle, views: Sequence[Any], cache: Path) -> Mapping[str, Any]:
    openvino_cache.runtime()  # before NNCF, which would report its use to its maker
    try:
        import nncf
    except ImportError as error:
        raise QuantiseError(
            "integers are made by NNCF, which is not installed: pip install -c "
            "deploy/constraints.txt nncf"
        ) from error
    models = openvino_cache.networks(bundle, cache)
    seen = nncf.Dataset(views)
    return {
        name: nncf.quantize(
            models[name],
            seen,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(views),
        )
        for name in (f"member-{i}" for i in range(len(bundle.members)))
    }


def _rung(models: Mapping[str, Any], floating: Engines) -> engines.Rung:
    number = threads()
    quick = [OpenVinoEngine(OpenVinoNetwork(m, "float32", number)) for m in models.values()]
    members = map(engines.Anchored, quick, floating.ladder[0].members)
    return engines.Rung(f"openvino-{INT8}", tuple(members), 0.0)


def _alone(ready: Engines, rung: engines.Rung) -> Engines:
    """Return the engines with one rung, which is asked once whatever it says."""
    return dataclasses.replace(ready, ladder=(dataclasses.replace(rung, band=0.0),))


def _view(pipeline: Pipeline, path: Path) -> Any:
    """Return what a member sees of a photo as it stands, float32 1 × 3 × side × side."""
    photo = pipeline.begin(_read(path), always_classify=True)
    if photo.views is None:
        raise QuantiseError(f"the bundle says nothing of {path}: give another photo")
    return photo.views[:1].contiguous().numpy()


def _read(path: Path) -> Pixels:
    """Return the pixels of a photo that the operator vouches for. Raises `QuantiseError`."""
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise QuantiseError(f"{path} cannot be read as a photo ({error}): remove it") from error
    return np.asarray(upright, np.uint8)


if __name__ == "__main__":
    sys.exit(main())
