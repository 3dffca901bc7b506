"""Pixels as each network reads them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inference_worker.manifest import Input
from inference_worker.tensors import to_tensor

CPU = torch.device("cpu")
PIXELS = np.array([[[255, 0, 51], [102, 153, 204]]], np.uint8)


def test_pixels_are_scaled_and_normalised_per_channel() -> None:
    how = Input(size=2, mean=(0.5, 0.25, 0.2), std=(0.5, 0.25, 0.1))
    tensor = to_tensor(PIXELS, how, CPU)
    assert tensor.dtype == torch.float32
    assert tensor.shape == (3, 1, 2)
    assert tensor[:, 0, 0].tolist() == pytest.approx([1.0, -1.0, 0.0], abs=1e-6)
    assert tensor[:, 0, 1].tolist() == pytest.approx([-0.2, 1.4, 6.0], abs=1e-6)


def test_a_network_of_caffe_reads_blue_first_and_unscaled() -> None:
    means = (103.939, 116.779, 123.68)
    how = Input(size=2, mean=means, std=(1.0, 1.0, 1.0), channel_order="BGR", scale=1.0)
    tensor = to_tensor(PIXELS, how, CPU)
    expected = [51 - means[0], 0 - means[1], 255 - means[2]]
    assert tensor[:, 0, 0].tolist() == pytest.approx(expected, abs=1e-4)
