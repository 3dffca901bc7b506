"""A photo on its way through the pipeline, and the verdict on it in the making."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inference_worker.verdict import Verdict

if TYPE_CHECKING:
    from torch import Tensor

    from inference_worker.ensemble import Known, Told
    from inference_worker.segmentation import Lesion
    from inference_worker.stages import Stages
    from inference_worker.verdict import (
        BundleRef,
        Classification,
        Heatmap,
        ImageType,
        Measurements,
        Quality,
        Rejection,
    )


@dataclass(slots=True)
class Draft:
    """A verdict in the making: what is known of the photo so far.

    `known` is what the check of the distribution had the first member say.
    """

    bundle: BundleRef
    image_type: ImageType
    width: int
    height: int
    quality: Quality
    rejection: Rejection | None = None
    lesion: Lesion | None = None
    measurements: Measurements | None = None
    classification: Classification | None = None
    heatmap: Heatmap | None = None
    known: Known | None = None

    def reject(self, why: Rejection | None) -> None:
        """Note the first reason against the photo; later ones follow from it."""
        self.rejection = self.rejection or why

    def finish(self, timings: dict[str, float]) -> Verdict:
        """Return the verdict. Raises `InvalidVerdictError` where the draft contradicts itself."""
        return Verdict(
            bundle=self.bundle,
            image_type=self.image_type,
            width=self.width,
            height=self.height,
            quality=self.quality,
            rejection=self.rejection,
            classification=self.classification,
            outline=self.lesion.outline if self.lesion else None,
            measurements=self.measurements,
            heatmap=self.heatmap,
            timings=timings,
        )


@dataclass(slots=True)
class Photo:
    """One photo between `Pipeline.begin` and `Pipeline.finish`.

    `views` float32 n × 3 × side × side, None where the photo is rejected before the members see
    it; `told` what each member has said of them already; `rungs` how many of the ladder's were
    asked.
    """

    draft: Draft
    stages: Stages
    views: Tensor | None = None
    told: tuple[Told, ...] | None = None
    rungs: int = 0
