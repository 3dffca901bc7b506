"""How well the segmenter finds the lesion, on photos that it was not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from training import cache, evaluate, masked, metrics, predict

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from training.dataset import Labelled
    from training.fit import Run
    from training.readers import Record
    from training.recipe import SegmenterRecipe

SIDE: Final = 256
"""Masks are compared at this side in px, squashed like the photos; shares do not change by that."""

_SHARES_OF: Final = 1000
_CHUNK: Final = 256
_ACCEPTABLE: Final = 0.65


def segmentation_report(
    run: Run, own: Labelled, model: nn.Module, spec: SegmenterRecipe
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Return figures per data set, and the lesion's share of the frame of development photos."""
    test = [own.records[i] for i in own.split.test if own.records[i].mask_path]
    found = {run.recipe.data.labelled: _of(run, model, spec, test)}
    if spec.extra is not None:
        _, kept = masked.extra_parts(spec, run.data, few=run.few)
        found[spec.extra] = _of(run, model, spec, kept)
    return found, lesion_shares(run, own)


def lesion_shares(run: Run, own: Labelled) -> NDArray[np.float64]:
    """Return the lesion's share of the frame of development photos with masks.

    Of photos at even distances: a data set may be sorted by diagnosis, as HAM10000's table is.
    """
    rows = [i for i in own.split.development if own.records[i].mask_path]
    some = [own.records[i] for i in rows[:: max(1, len(rows) // _SHARES_OF)]]
    truth = cache.masks(some, data=run.data, cache=run.cache, size=SIDE)
    shares: NDArray[np.float64] = (truth > 127).mean((1, 2))  # noqa: PLR2004 - half of 255
    return shares


def _of(run: Run, model: nn.Module, spec: SegmenterRecipe, records: list[Record]) -> dict[str, Any]:
    rounds = evaluate.SMOKE_ROUNDS if run.smoke else evaluate.ROUNDS
    lesions = np.array([record.lesion_id for record in records])
    draws = metrics.bootstrap(lesions, rounds, evaluate.SEED)
    return figures(*_overlap(run, model, spec, records), draws)


def figures(
    dice: NDArray[np.float64], iou: NDArray[np.float64], draws: metrics.Bootstrap
) -> dict[str, Any]:
    """Return mean, median and 5th percentile of Dice and IoU, and the thresholded Jaccard index.

    That is the mean IoU where an IoU under 0.65 counts as nothing (ISIC 2018). ``ci`` is the 95%
    interval of the mean, by bootstrap over lesions.
    """
    found: dict[str, Any] = {"n_images": len(dice)}
    for name, values in (("dice", dice), ("iou", iou)):
        found[name] = {
            "mean": float(values.mean()),
            "median": float(np.median(values)),
            "p5": float(np.quantile(values, 0.05)),
            "ci": draws.figure(lambda i, v=values: float(v[i].mean()))["ci"],  # type: ignore[misc]
        }
    found["thresholded_jaccard"] = float(np.where(iou >= _ACCEPTABLE, iou, 0.0).mean())
    return found


def _overlap(
    run: Run, model: nn.Module, spec: SegmenterRecipe, records: list[Record]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pixels = cache.photos(
        records,
        data=run.data,
        cache=run.cache,
        size=spec.input.size,
        steps=run.recipe.steps,
        via=spec.input.via,
    )
    truth = cache.masks(records, data=run.data, cache=run.cache, size=SIDE)
    dice, iou = [], []
    for start in range(0, len(records), _CHUNK):
        part = slice(start, start + _CHUNK)
        p = predict.segment(model, pixels[part], spec.input, run.device)
        large = np.stack([cv2.resize(one, (SIDE, SIDE)) for one in p])
        both = metrics.overlap(large > spec.threshold, truth[part] > 127)  # noqa: PLR2004
        dice.append(both[0])
        iou.append(both[1])
    return np.concatenate(dice), np.concatenate(iou)
