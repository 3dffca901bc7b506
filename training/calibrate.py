"""What is fitted after training, on photos that the judging member never saw: out-of-fold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from scipy.optimize import minimize_scalar

from inference_worker import manifest, quality
from inference_worker.calibration import temper
from inference_worker.ood import Statistics
from training import metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from inference_worker.pixels import Pixels

OOD_COMPONENTS: Final = 64
OOD_QUANTILE: Final = 0.99

PASS_SHARE: Final = 0.995
"""The least share of real photos that each quality limit lets through."""

_TEMPERATURES: Final = (0.25, 4.0)


def temperature(labels: NDArray[np.int64], p: NDArray[np.float64]) -> float:
    """Return the temperature of least negative log-likelihood for p, n × classes."""
    found = minimize_scalar(
        lambda t: metrics.nll(labels, temper(p, float(t))), bounds=_TEMPERATURES, method="bounded"
    )
    return float(found.x)


def ood_statistics(features: NDArray[np.float64], components: int = OOD_COMPONENTS) -> Statistics:
    """Fit mean, principal components and variances to pooled features, n × d.

    A component's variance is never below the mean variance of what all of them leave out.
    """
    mean = features.mean(0)
    centred = features - mean
    _, singular, rows = np.linalg.svd(centred, full_matrices=False)
    k = min(components, len(features) // 2, features.shape[1] - 1)
    variance = singular**2 / (len(features) - 1)
    residual = float(variance[k:].sum() / (features.shape[1] - k))
    return Statistics(mean, rows[:k], np.maximum(variance[:k], residual), residual)


def distances(statistics: Statistics, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance of each row of n × d."""
    return np.array([statistics.distance(row) for row in features])


def quality_limits(
    photos: Sequence[Pixels], lesion_shares: NDArray[np.float64]
) -> manifest.Quality:
    """Set each limit where photos made worse begin, but let `PASS_SHARE` of the real ones through.

    `photos` as they come; each is also blurred, darkened and brightened until a person could judge
    it no more. The limit lies midway between the real photos' tail and the median of the degraded.

    `min_short_side` keeps its default, a constant: what a small photo lacks does not show in what
    is measured of it, for it is measured as it comes, and a data set's photos are mostly of one
    size, so there is no tail of real ones to fit to. 96 px is the short side of a 4:3 photo whose
    long side is 128 px: below, even the smallest of the networks here sees only enlargement.
    """
    real = [quality.measure(photo) for photo in photos]
    blurred = [quality.measure(_blurred(photo)).sharpness for photo in photos]
    dark = [quality.measure(_scaled(photo, 0.2)).brightness for photo in photos]
    bright = [quality.measure(_washed_out(photo)).brightness for photo in photos]
    low = 1 - PASS_SHARE
    sharp_tail = float(np.quantile([m.sharpness for m in real], low))
    dark_tail = float(np.quantile([m.brightness for m in real], low))
    bright_tail = float(np.quantile([m.brightness for m in real], PASS_SHARE))
    return manifest.Quality(
        min_sharpness=round(_between(sharp_tail, float(np.median(blurred)), low=True), 3),
        min_brightness=round(_between(dark_tail, float(np.median(dark)), low=True), 3),
        max_brightness=round(_between(bright_tail, float(np.median(bright)), low=False), 3),
        min_lesion_share=_half_of_smallest(lesion_shares, low),
    )


def _half_of_smallest(shares: NDArray[np.float64], low: float) -> float:
    """Return half of the smallest usual lesion's share, at most 1%; 0 without a segmenter."""
    return round(min(0.01, float(np.quantile(shares, low)) / 2), 4) if len(shares) else 0.0


def _between(tail: float, degraded: float, *, low: bool) -> float:
    """Return the middle of a real tail and a degraded median; the tail where they overlap."""
    apart = degraded < tail if low else degraded > tail
    return (tail + degraded) / 2 if apart else tail


def _blurred(photo: Pixels) -> Pixels:
    sigma = max(photo.shape[:2]) / 40
    return np.asarray(cv2.GaussianBlur(photo, (0, 0), sigma), np.uint8)


def _scaled(photo: Pixels, gain: float) -> Pixels:
    return np.asarray(np.clip(photo * gain, 0, 255), np.uint8)


def _washed_out(photo: Pixels) -> Pixels:
    return (255 - (255 - photo.astype(np.float64)) * 0.1).astype(np.uint8)
