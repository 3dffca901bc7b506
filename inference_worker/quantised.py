"""A bundle's members in integers of 8 bits, as `inference_worker.quantise` leaves them.

They lie in the cache beside the networks of floating point, in a folder of their own: what each
layer's numbers range over is not known before photos went through it, and those an operator gives.
For the same reason no age and no new version of OpenVINO removes them.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from inference_worker import openvino_cache, typed
from inference_worker.engine_options import cpu_multiplies_int8

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inference_worker.bundle import Bundle, Verified

MEASURED: Final = "measured.json"
_PREFIX: Final = "int8-"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Measured:
    """How integers did on `photos` that they were not calibrated by.

    `largest` error of an answer in log-odds of the logits' own scale (before the temperature);
    `band` within which one is asked again; `asked_again`, the share of the photos that lay there.
    `malignant` is how many of the photos were rather malignant than not: the error of melanoma
    against other malignancies is theirs. `vnni`: by a CPU with instructions for products of 8 bits;
    one without rounds otherwise.
    """

    vnni: bool
    photos: int
    malignant: int
    largest: float
    band: float
    asked_again: float


@dataclass(frozen=True, slots=True)
class Quantised:
    """The members, `openvino.Model`s by their names, and how far to trust them."""

    models: Mapping[str, Any]
    measured: Measured

    @property
    def band(self) -> float:
        """Return the log-odds from a decision within which an answer is asked again."""
        return self.measured.band


def folder(bundle: Bundle | Verified, cache: Path) -> Path:
    """Return where a bundle's integers are kept; like all there, for one version of OpenVINO."""
    return Path(cache) / f"{_PREFIX}{openvino_cache.name(bundle)}"


def read(bundle: Bundle | Verified, cache: Path | None) -> Quantised | None:
    """Return what the cache holds of the bundle in integers; None, and why in the log, if nothing.

    Damaged ones are none: floating point gives the same answers, and a clinic goes on.
    """
    made = None if cache is None else folder(bundle, cache)
    try:
        if made is None:
            raise FileNotFoundError("no cache of converted networks")
        whole = made.stat().st_ino
        models = openvino_cache.read(made)
        measured = typed.parse(Measured, json.loads((made / MEASURED).read_text()))
        if made.stat().st_ino != whole:
            raise ValueError("made anew at this moment")  # noqa: TRY301 - as any other
        if measured.vnni != cpu_multiplies_int8():
            raise ValueError("measured on a CPU of another kind")  # noqa: TRY301 - as any other
        wanted = openvino_cache.member_names(len(bundle.manifest.classifier.members))
        return Quantised({name: models[name] for name in wanted}, measured)
    except (OSError, ValueError, KeyError, openvino_cache.DamagedCacheError) as error:
        logger.warning(
            "%s runs in floating point: nothing in integers can be read (%s: %s); `python -m "
            "inference_worker.quantise` makes it",
            bundle.manifest.name,
            type(error).__name__,
            error,
        )
        return None


def keep(found: Quantised, made: Path) -> None:
    """Write `found` into the folder `made`, in the place of what is there. Raises `OSError`."""
    text = json.dumps(asdict(found.measured), indent=1)
    openvino_cache.write(made, found.models, {MEASURED: text}, replace=True)
