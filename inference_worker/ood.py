"""How far a photo lies from those that the bundle was trained on, in feature space.

The Mahalanobis distance of one member's pooled features (Lee 2018), along their principal
components, with one variance for all that these leave out. It notices what is no dermoscopic photo
at all; it does not notice every unusual lesion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inference_worker.errors import NonFiniteError, WrongOutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Statistics:
    """The training photos' features: `mean` (d), `components` k × d orthonormal, `variance` (k).

    `residual_variance` is that of what the components leave out, per photo.
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float64]
    variance: NDArray[np.float64]
    residual_variance: float

    def distance(self, features: NDArray[np.float64]) -> float:
        """Return the distance of `features` (d), over √d.

        Raises `NonFiniteError`, and `WrongOutputError` for features of another length.
        """
        if features.shape != self.mean.shape:
            raise WrongOutputError(
                "the out-of-distribution check", expected=self.mean.shape, found=features.shape
            )
        with np.errstate(invalid="ignore", over="ignore"):
            centred = features - self.mean
            along = self.components @ centred
            left = centred - self.components.T @ along
            squared = np.sum(along**2 / self.variance) + np.sum(left**2) / self.residual_variance
            found = float(np.sqrt(squared / len(features)))
        if not np.isfinite(found):
            raise NonFiniteError("the out-of-distribution check")
        return found
