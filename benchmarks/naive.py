"""One analysis as the recipes tell it, written plainly: the reference that ours is measured by.

Every view of every member is a pass of its own in eager float32, flipping both ways and turning by
180° both count, and Grad-CAM runs the whole network forward and backward once more. Only the pixels
are cleaned by the product's own functions, so that both judge the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from pytorch_grad_cam import GradCAM
from torch import nn

from inference_worker import gradcam, preprocessing, views
from inference_worker.calibration import columns_of, read_class_map, temper
from inference_worker.ensemble import activate
from inference_worker.tensors import to_tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inference_worker.architectures import Classifier
    from inference_worker.bundle import Bundle
    from inference_worker.manifest import Input
    from inference_worker.pixels import Pixels

_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Answer:
    """`p_malignant`, `probabilities` per output; `cams` per member, side × side in [0, 1]."""

    p_malignant: float
    probabilities: NDArray[np.float64]
    cams: list[NDArray[np.float32]]


class _Hooked(nn.Module):
    """A classifier with a layer behind its feature map that Grad-CAM can hook."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.map = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier.forward_head(self.map(self.classifier.forward_features(x)))


def judge(bundle: Bundle, pixels: Pixels) -> Answer:
    """Judge one photo, uint8 height × width × 3 RGB, on the CPU."""
    manifest = bundle.manifest
    described = manifest.classifier
    steps = [(step.step, step.params) for step in manifest.preprocessing]
    small = preprocessing.shrink(pixels, preprocessing.WORKING_SIDE)
    cleaned = preprocessing.apply(small, steps)
    image = _read(cleaned, described.input)
    if bundle.segmenter is not None and manifest.segmenter is not None:
        with torch.no_grad():
            torch.sigmoid(bundle.segmenter(_read(cleaned, manifest.segmenter.input)[None]))
    rows = []
    for member in bundle.members:
        for name in manifest.views:
            with torch.no_grad():
                logits = member(views.batch(image, [name]))
            rows.append(activate(logits.double().numpy(), described.activation)[0])
    mean = temper(np.mean(rows, axis=0), manifest.temperature)
    columns = columns_of(described.outputs, described.activation)
    class_map = read_class_map(described.class_map, columns)
    target = gradcam.MalignancyTarget(class_map.malignant, described.activation)
    cams = [_cam(member, image, target) for member in bundle.members]
    return Answer(class_map.read(mean).p_malignant, mean, cams)


def _read(cleaned: Pixels, how: Input) -> torch.Tensor:
    return to_tensor(preprocessing.to_square(cleaned, how.size, via=how.via), how, _CPU)


def _cam(
    member: Classifier, image: torch.Tensor, target: gradcam.MalignancyTarget
) -> NDArray[np.float32]:
    whole = _Hooked(member)
    cam = GradCAM(model=whole, target_layers=[whole.map])
    try:
        found = cam(input_tensor=image[None].clone().requires_grad_(), targets=[target])
        return np.asarray(found[0], np.float32)
    finally:
        cam.activations_and_grads.release()
