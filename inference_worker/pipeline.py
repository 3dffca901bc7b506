"""From the pixels of one photo to a verdict, in five stages.

Quality → preprocessing → segmentation → ensemble → heat map. A photo that cannot be used stops at
the end of the stage that finds it out. What goes wrong in the model raises a named error; nothing
that goes wrong becomes a result.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from inference_worker import (
    engines,
    ensemble,
    exactness,
    gradcam,
    groups,
    judgement,
    preprocessing,
    quality,
    views,
)
from inference_worker.bundle import verify_and_open
from inference_worker.calibration import read_class_map
from inference_worker.drafts import Draft, Photo
from inference_worker.engine_options import AUTO, Options, threads
from inference_worker.errors import NonFiniteError, WrongOutputError
from inference_worker.known_views import remembering
from inference_worker.measurements import measure
from inference_worker.memory import named_out_of_memory
from inference_worker.pixels import check
from inference_worker.segmentation import canvas_of, find_lesion
from inference_worker.sparing import Cleaning
from inference_worker.stages import Stages
from inference_worker.tensors import to_tensor
from inference_worker.verdict import BundleRef, ImageType, Quality, Rejection, Stage, columns_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from inference_worker.bundle import Bundle, Verified
    from inference_worker.engines import Engines
    from inference_worker.ood import Statistics
    from inference_worker.pixels import Pixels
    from inference_worker.verdict import Classification, Verdict

logger = logging.getLogger(__name__)


class Pipeline:
    """One bundle, ready to judge photos; for one thread at a time.

    Of a photo that it has judged it holds neither pixels nor views nor what the networks said of
    them. Memory that it has worked in is not wiped, such as that of the maps between the layers,
    which a compiled network or a graph keeps for its next pass: a copy of the process's memory, or
    of the GPU's, may show traces of the last photos.
    """

    def __init__(self, bundle: Bundle | Verified, ready: Engines | None = None) -> None:
        """Check that this version knows all that `bundle` asks for; raise its `ValueError`s.

        Its networks run on the engines that are `ready`, on plain PyTorch without any.
        """
        manifest, classifier = bundle.manifest, bundle.manifest.classifier
        self.ref = BundleRef(manifest.name, manifest.version, bundle.sha256)
        self._bundle = bundle
        self._device = bundle.device
        self._is_warm = False
        self._engines = ready or engines.plain(bundle.networks())
        self._steps = [(step.step, step.params) for step in manifest.preprocessing]
        preprocessing.parse_steps(self._steps)
        # The photo as it stands comes first: the heat map is made of its feature map.
        self._plan = views.plan(manifest.views).identity_first()
        columns = columns_of(classifier.outputs, classifier.activation)
        self._class_map = read_class_map(classifier.class_map, columns)
        self._target = gradcam.MalignancyTarget(self._class_map.malignant, classifier.activation)
        self._limits = quality.Limits(
            min_short_side=manifest.quality.min_short_side,
            min_sharpness=manifest.quality.min_sharpness,
            min_brightness=manifest.quality.min_brightness,
            max_brightness=manifest.quality.max_brightness,
        )

    def run(
        self,
        pixels: Pixels,
        image_type: ImageType = ImageType.DERMOSCOPIC,
        on_stage: Callable[[Stage], None] | None = None,
        *,
        always_classify: bool = False,
    ) -> Verdict:
        """Judge one photo.

        `pixels` uint8 height × width × 3, upright sRGB. `on_stage` is told of each stage as it
        begins; what it raises ends the run. A photo that cannot be used is rejected at once, or
        with `always_classify` gets its numbers beside the rejection.
        Raises `InvalidPixelsError`, `ModelError`.
        """
        return self.finish(
            self.begin(pixels, image_type, on_stage, always_classify=always_classify)
        )

    def warm(self) -> None:
        """Prepare the engines, then judge a gray square: what is first is slow in many places.

        Once is enough: when it has succeeded, this does nothing. Raises what `run` raises.
        """
        if self._is_warm:
            return
        if self._engines.prepare is not None:
            self._engines.prepare()
        gray = np.full((256, 256, 3), 128, np.uint8)
        self.run(gray, ImageType.CLINICAL, always_classify=True)
        # A clinical photo goes by the check of the distribution, which asks for one view.
        self._engines.first.forward(self._read(gray)[None])
        self._is_warm = True

    @property
    def asks(self) -> str:
        """What is asked of a photo first: the name of an engine and a precision."""
        return self._engines.ladder[0].name

    @property
    def at_once(self) -> int:
        """How many photos are best judged together on this machine."""
        return engines.PHOTOS_AT_ONCE_ON_A_GPU if self._device.type == "cuda" else 1

    def begin(
        self,
        pixels: Pixels,
        image_type: ImageType = ImageType.DERMOSCOPIC,
        on_stage: Callable[[Stage], None] | None = None,
        *,
        always_classify: bool = False,
    ) -> Photo:
        """Do all of `run` that comes before the members are asked, and raise what `run` raises."""
        check(pixels)
        stages = Stages(on_stage)
        with named_out_of_memory():
            draft, cleaned = self._prepare(
                pixels, image_type, stages, always_classify=always_classify
            )
            if cleaned is None:
                return Photo(draft, stages)
            with stages.enter(Stage.ENSEMBLE):
                return Photo(draft, stages, views.batch(self._read(cleaned), self._plan.names))

    def ask_together(self, photos: Sequence[Photo]) -> None:
        """Let each member judge the views of all `photos` in one pass, for `finish` to go on from.

        Does nothing where that gains nothing. What it raises tells nothing of a single photo:
        `finish` asks again for each by itself.
        """
        waiting = [(photo, photo.views) for photo in photos if photo.views is not None]
        members = self._engines.ladder[0].members
        if not waiting[1:] or not all(groups.can_ask_together(member) for member in members):
            return
        with ExitStack() as timed, named_out_of_memory():
            for photo, _ in waiting:
                timed.enter_context(photo.stages.enter(Stage.ENSEMBLE))
            told = groups.ask_together(members, [batch for _, batch in waiting])
            for (photo, _), answers in zip(waiting, told, strict=True):
                photo.told = answers

    def finish(self, photo: Photo) -> Verdict:
        """Do the rest of `run`, and raise what it raises."""
        draft, stages = photo.draft, photo.stages
        if photo.views is not None:
            with named_out_of_memory():
                with stages.enter(Stage.ENSEMBLE):
                    opinions, draft.classification = self._judge(photo, photo.views)
                with stages.enter(Stage.HEATMAP):
                    box = preprocessing.crop_box(draft.width, draft.height)
                    draft.heatmap = gradcam.heatmap(
                        self._bundle.heads, opinions.maps, self._target, box
                    )
        return draft.finish(stages.timings)

    def _prepare(
        self, pixels: Pixels, image_type: ImageType, stages: Stages, *, always_classify: bool
    ) -> tuple[Draft, Pixels | None]:
        """Return the photo as cleaned for the members, None where it need not come before them."""
        with stages.enter(Stage.QUALITY):
            draft, seen = self._look(pixels, image_type)
        if draft.rejection and not always_classify:
            return draft, None
        with stages.enter(Stage.PREPROCESSING):
            cleaning = Cleaning(seen, self._steps)
            cleaned = cleaning.pixels
            self._check_distribution(cleaned, draft)
        if draft.rejection and not always_classify:
            return draft, None
        with stages.enter(Stage.SEGMENTATION):
            self._find_lesion(cleaned, draft)
            if draft.lesion is not None:
                # Colours are those of the photo as taken: cleaning may change contrast.
                draft.measurements = measure(draft.lesion, draft.lesion.canvas.draw(seen))
                if cleaning.may_have_cut:
                    mask = draft.lesion.mask_of_photo(seen.shape[1], seen.shape[0])
                    cleaned = cleaning.sparing(mask)
        return draft, None if draft.rejection and not always_classify else cleaned

    def _look(self, pixels: Pixels, image_type: ImageType) -> tuple[Draft, Pixels]:
        """Measure and judge the photo; return it at the working size too."""
        measured = quality.measure(pixels)
        seen = preprocessing.shrink(pixels, preprocessing.WORKING_SIDE)
        draft = Draft(
            bundle=self.ref,
            image_type=image_type,
            width=pixels.shape[1],
            height=pixels.shape[0],
            quality=Quality(
                short_side=measured.short_side,
                sharpness=measured.sharpness,
                brightness=measured.brightness,
                notes=quality.notes(seen),
            ),
        )
        draft.reject(quality.judge(measured, self._limits))
        return draft, seen

    def _check_distribution(self, cleaned: Pixels, draft: Draft) -> None:
        """Reject what is unlike the training photos. Clinical photos all are: they go unchecked."""
        statistics, limits = self._bundle.ood, self._bundle.manifest.ood
        if statistics is None or limits is None or draft.image_type is not ImageType.DERMOSCOPIC:
            return
        view = self._read(cleaned)[None]
        logits, features = self._engines.first.forward(view)
        draft.known = ensemble.Known(view, ensemble.Told(logits, features))
        distance = self._distance(statistics, features)
        if abs(distance - limits.limit) <= engines.FLOAT32_BAND * limits.limit:
            features = self._engines.ladder[-1].members[0].forward(view)[1]
            distance = self._distance(statistics, features)
        draft.quality = replace(draft.quality, ood_distance=distance, ood_limit=limits.limit)
        draft.reject(Rejection.OUT_OF_DISTRIBUTION if distance > limits.limit else None)

    def _distance(self, statistics: Statistics, features: Tensor) -> float:
        pooled = self._bundle.heads[0].forward_pooled(features)
        return statistics.distance(pooled[0].double().cpu().numpy())

    def _find_lesion(self, cleaned: Pixels, draft: Draft) -> None:
        """Find and measure the lesion; a dermoscopic photo must show one."""
        network, described = self._engines.segmenter, self._bundle.manifest.segmenter
        if network is None or described is None:
            return
        size = described.input.size
        square = preprocessing.to_square(cleaned, size, via=described.input.via)
        logits = network.forward(to_tensor(square, described.input, self._device)[None])
        if tuple(logits.shape) != (1, 1, size, size):
            raise WrongOutputError(
                "the segmenter", expected=(1, 1, size, size), found=tuple(logits.shape)
            )
        if not torch.isfinite(logits).all():
            raise NonFiniteError("the segmenter")
        draft.lesion = find_lesion(
            torch.sigmoid(logits)[0, 0].cpu().numpy(),
            canvas_of(draft.width, draft.height),
            threshold=described.threshold,
            min_share=self._bundle.manifest.quality.min_lesion_share,
        )
        if draft.lesion is None and draft.image_type is ImageType.DERMOSCOPIC:
            draft.reject(Rejection.NO_LESION)

    def _judge(self, photo: Photo, batch: Tensor) -> tuple[ensemble.Opinions, Classification]:
        """Ask the fastest engines, and again more exact ones where they could decide otherwise."""
        described, image_type = self._bundle.manifest.classifier, photo.draft.image_type
        known = photo.draft.known
        ladder = remembering(self._engines.ladder, self._engines.first, known)
        for rung in ladder:
            first = rung is ladder[0]
            photo.rungs += 1
            opinions = ensemble.ask(
                (first and photo.told) or rung.members,
                batch,
                self._plan,
                outputs=len(described.outputs),
                activation=described.activation,
            )
            classification = self._classify(opinions, image_type)
            # An engine's error is one of logits; the temperature divides it as it divides them.
            band = rung.band / self._bundle.manifest.temperature
            if not exactness.could_differ(classification, image_type, band):
                break
            logger.info("%s is near a decision: asking on", rung.name)
        return opinions, classification

    def _classify(self, opinions: ensemble.Opinions, image_type: ImageType) -> Classification:
        manifest = self._bundle.manifest
        return judgement.classify(
            opinions,
            self._class_map,
            temperature=manifest.temperature,
            gate=manifest.gate,
            image_type=image_type,
        )

    def _read(self, cleaned: Pixels) -> Tensor:
        """Return what the members see: float32 3 × size × size, normalised."""
        described = self._bundle.manifest.classifier.input
        square = preprocessing.to_square(cleaned, described.size, via=described.via)
        return to_tensor(square, described, self._device)


_loaded: dict[tuple[Path, Options], Pipeline] = {}
_loading = threading.Lock()


def current(folder: Path, options: Options = AUTO) -> Pipeline:
    """Return this process's pipeline of the bundle in `folder`, loaded at the first call.

    It runs on the GPU that PyTorch finds, else on every core of the CPU that the process may use.
    Raises what `bundle.verify_and_open` and `engines.build` raise.
    """
    key = Path(folder).resolve(), options
    with _loading:
        if key not in _loaded:
            started = time.perf_counter()
            logger.info("loading the model bundle %s", key[0])
            torch.set_num_threads(threads())
            cv2.setNumThreads(threads())
            # Where OpenVINO is asked for by name, it is the CPU that is asked for.
            on_gpu = torch.cuda.is_available() and options.engine != "openvino"
            device = torch.device("cuda" if on_gpu else "cpu")
            bundle = verify_and_open(key[0], device=device)
            ready = engines.build(bundle, options)
            _loaded[key] = Pipeline(bundle, ready)
            took, rung = time.perf_counter() - started, ready.ladder[0].name
            logger.info("loaded in %.1f s, on %s by %s", took, device, rung)
        return _loaded[key]
