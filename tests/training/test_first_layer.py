from __future__ import annotations

import pytest
import timm
import torch

from inference_worker.manifest import Input
from tests.training import drawn
from training import augment, first_layer

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "first_conv": "conv1"}
CAFFE = Input(
    64, mean=(103.939, 116.779, 123.68), std=(1.0, 1.0, 1.0), channel_order="BGR", scale=1.0
)


def test_weights_of_the_hub_say_of_caffe_pixels_what_they_said_of_rgb() -> None:
    torch.manual_seed(0)
    trunk = timm.create_model("resnet18", num_classes=0).eval()
    other = timm.create_model("resnet18", num_classes=0).eval()
    photo = augment.to_float(drawn.lesion(3, (64, 64))[0][None])

    other.load_state_dict(first_layer.convert(trunk.state_dict(), IMAGENET, CAFFE))

    with torch.inference_mode():
        rgb = trunk(augment.as_input(photo, Input(64)))
        caffe = other(augment.as_input(photo, CAFFE))
        unconverted = trunk(augment.as_input(photo, CAFFE))
    # The means differ by .002 of a pixel's range at most.
    assert (caffe - rgb).norm() < 0.03 * rgb.norm()
    assert (unconverted - rgb).norm() > rgb.norm()


def test_weights_that_read_pixels_alike_stay_as_they_are() -> None:
    weights = {"conv1.weight": torch.randn(4, 3, 3, 3)}

    found = first_layer.convert(weights, IMAGENET, Input(64))

    assert torch.equal(found["conv1.weight"], weights["conv1.weight"])


@pytest.mark.parametrize(
    ("trained", "reads", "message"),
    [
        (IMAGENET | {"mean": (0.5, 0.5, 0.5)}, Input(64), "set 'mean'"),
        (IMAGENET | {"first_conv": "stem"}, CAFFE, "no first convolution 'stem.weight'"),
    ],
)
def test_what_cannot_be_converted_is_said(
    trained: dict[str, object], reads: Input, message: str
) -> None:
    with pytest.raises(first_layer.ReadingError, match=message):
        first_layer.convert({"conv1.weight": torch.zeros(4, 3, 3, 3)}, trained, reads)
