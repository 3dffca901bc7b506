"""One analysis as the recipes tell it, written plainly: the reference that ours is measured by.

Every view of every member is made by PIL and is a pass of its own in eager float32, flipping both
ways and turning by 180° both count, and Grad-CAM, by the library, runs the whole network forward
and backward once more, down to the gradients of all weights. Faint maps stay faint, as the
product's do (`gradcam.LEAST`, `gradcam.FAINT`).

Both must judge the same picture. So cleaning, and shrinking to the networks' size, are the
product's own: the networks were trained on what OpenCV's mean over areas makes, and what PIL's
filters make instead moves the starter's probabilities by .05 to .7. Views that PIL resizes stay in
floating point, as the product's do.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
import torch
from PIL import Image
from PIL.Image import Resampling, Transpose
from pytorch_grad_cam import GradCAM
from torch import nn

from inference_worker import gradcam, preprocessing
from inference_worker.calibration import read_class_map, temper
from inference_worker.ensemble import activate
from inference_worker.gate import Rule
from inference_worker.segmentation import canvas_of, find_lesion
from inference_worker.tensors import to_tensor
from inference_worker.verdict import ImageType, columns_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from inference_worker.architectures import Classifier
    from inference_worker.bundle import Bundle
    from inference_worker.calibration import Opinion
    from inference_worker.manifest import Input
    from inference_worker.pixels import Pixels
    from inference_worker.verdict import Category

_TURNS: Final = {
    "hflip": Transpose.FLIP_LEFT_RIGHT,
    "vflip": Transpose.FLIP_TOP_BOTTOM,
    "hvflip": Transpose.ROTATE_180,
    "rot90": Transpose.ROTATE_90,
    "rot180": Transpose.ROTATE_180,
    "rot270": Transpose.ROTATE_270,
}
_MARGIN: Final = 0.05


@dataclass(frozen=True, slots=True)
class Answer:
    """What is told of one dermoscopic photo, and `cams`, per member a grid in [0, 1]."""

    opinion: Opinion
    category: Category
    cams: list[NDArray[np.float32]]

    def heatmap(self) -> NDArray[np.float64]:
        """Return the mean of the members' grids, at the finest one; up to 1, unless it is faint."""
        height, width = max(cam.shape for cam in self.cams)
        mean = np.mean([cv2.resize(cam, (width, height)) for cam in self.cams], axis=0)
        return np.asarray(mean / max(mean.max(), gradcam.FAINT), np.float64)


class _Hooked(nn.Module):
    """A classifier with a layer behind its feature map that Grad-CAM can hook."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.map = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier.forward_head(self.map(self.classifier.forward_features(x)))


class _GridCAM(GradCAM):  # type: ignore[misc]
    """Grad-CAM at the feature map's own grid, which is what is told: nothing is enlarged.

    `strength` in (0, 1] is what it is told at: below 1 where the peak is next to nothing.
    """

    strength: float = 1.0

    def get_cam_image(self, *arguments: Any) -> NDArray[np.float32]:
        image = np.asarray(super().get_cam_image(*arguments), np.float32)
        weights = self.get_cam_weights(*arguments[:5])
        both_ways = np.abs(weights[:, :, None, None] * arguments[3]).sum(1).max()
        peak = np.ptp(image.clip(min=0))
        self.strength = min(1.0, float(peak / (gradcam.LEAST * both_ways or 1.0)))
        return image

    def get_target_width_height(self, _input: torch.Tensor) -> tuple[int, int]:
        height, width = self.activations_and_grads.activations[0].shape[-2:]
        return width, height


def judge(bundle: Bundle, pixels: Pixels) -> Answer:
    """Judge one photo, uint8 height × width × 3 RGB, on the device of the bundle's weights."""
    manifest, described = bundle.manifest, bundle.manifest.classifier
    how = described.input
    square = preprocessing.to_square(_clean(bundle, pixels), how.size, via=how.via)
    rows = []
    for member in bundle.members:
        for name in manifest.views:
            with torch.no_grad():
                logits = member(_tensor(view(square, name), how, bundle.device))
            rows.append(activate(logits.double().cpu().numpy(), described.activation)[0])
    columns = columns_of(described.outputs, described.activation)
    class_map = read_class_map(described.class_map, columns)
    opinion = class_map.read(temper(np.mean(rows, axis=0), manifest.temperature))
    rule = Rule(manifest.gate.threshold, ImageType.DERMOSCOPIC)
    target = gradcam.MalignancyTarget(class_map.malignant, described.activation)
    seen = _tensor(view(square, "identity"), how, bundle.device)
    cams = [_cam(member, seen, target) for member in bundle.members]
    return Answer(opinion, rule.categorise(opinion), cams)


def view(square: Pixels, name: str) -> NDArray[np.float32]:
    """Return the view called `name` of `square`, side × side × 3, in [0, 255] but not rounded."""
    side = len(square)
    image = Image.fromarray(square)
    if name in _TURNS:
        image = image.transpose(_TURNS[name])
    elif name == "centre95":
        cut = round(side * _MARGIN / 2)
        image = image.crop((cut, cut, side - cut, side - cut))
    elif name == "reflect105":
        pad = max(1, round(side * _MARGIN / 2))
        image = Image.fromarray(np.pad(square, ((pad, pad), (pad, pad), (0, 0)), mode="reflect"))
    bands = [band.convert("F").resize((side, side), Resampling.BILINEAR) for band in image.split()]
    return np.stack([np.asarray(band, np.float32) for band in bands], axis=-1)


def _clean(bundle: Bundle, pixels: Pixels) -> Pixels:
    """Return the photo at the working size, its artefacts filled, but not into its lesion."""
    described = bundle.manifest.segmenter
    steps = [(step.step, step.params) for step in bundle.manifest.preprocessing]
    small = preprocessing.shrink(pixels, preprocessing.WORKING_SIDE)
    cleaned = preprocessing.apply(small, steps)
    if bundle.segmenter is None or described is None:
        return cleaned
    how = described.input
    square = preprocessing.to_square(cleaned, how.size, via=how.via)
    with torch.no_grad():
        logits = bundle.segmenter(to_tensor(square, how, bundle.device)[None])
    lesion = find_lesion(
        torch.sigmoid(logits)[0, 0].cpu().numpy(),
        canvas_of(pixels.shape[1], pixels.shape[0]),
        threshold=described.threshold,
        min_share=bundle.manifest.quality.min_lesion_share,
    )
    if lesion is None or preprocessing.SPARING.isdisjoint(name for name, _ in steps):
        return cleaned
    return preprocessing.apply(small, steps, lesion.mask_of_photo(small.shape[1], small.shape[0]))


def _tensor(pixels: NDArray[np.float32], how: Input, device: torch.device) -> torch.Tensor:
    ordered = pixels[..., ::-1] if how.channel_order == "BGR" else pixels
    mean, std = np.asarray(how.mean, np.float32), np.asarray(how.std, np.float32)
    normalised = (ordered / np.float32(how.scale) - mean) / std
    return torch.from_numpy(normalised.transpose(2, 0, 1).copy())[None].to(device)


def _cam(
    member: Classifier, image: torch.Tensor, target: gradcam.MalignancyTarget
) -> NDArray[np.float32]:
    whole = _Hooked(member)
    with _trainable(member):
        cam = _GridCAM(model=whole, target_layers=[whole.map])
        try:
            grid = np.asarray(cam(input_tensor=image, targets=[target])[0], np.float32)
            return grid * np.float32(cam.strength)
        finally:
            cam.activations_and_grads.release()


@contextmanager
def _trainable(member: Classifier) -> Iterator[None]:
    """Let a pass backward reach all weights, as in a source's model; then freeze them as before."""
    frozen = [weight for weight in member.parameters() if not weight.requires_grad]
    member.requires_grad_(requires_grad=True)
    try:
        yield
    finally:
        member.zero_grad(set_to_none=True)
        for weight in frozen:
            weight.requires_grad = False
