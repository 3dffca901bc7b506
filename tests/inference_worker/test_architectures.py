from __future__ import annotations

import pytest
import torch
from torch import nn

from inference_worker.architectures import (
    ArchitectureError,
    ClassifierSpec,
    SegmenterSpec,
    build_classifier,
    build_segmenter,
)

PHOTOS = torch.zeros(2, 3, 64, 64)


@pytest.mark.parametrize(
    ("spec", "outputs"),
    [
        (ClassifierSpec(), 7),
        (ClassifierSpec("mobilenetv2_050", head="norm_linear"), 2),
        (ClassifierSpec("resnet18", head="mlp", hidden=(16, 8), hidden_dropout=(0.5, 0.4)), 1),
        (ClassifierSpec("convnext_atto"), 3),
    ],
)
def test_the_head_alone_gives_the_whole_networks_logits(spec: ClassifierSpec, outputs: int) -> None:
    torch.manual_seed(0)
    network = build_classifier(spec, outputs).eval()
    photos = torch.randn(2, 3, 64, 64)

    features = network.forward_features(photos)
    logits = network.forward_head(features)

    assert features.ndim == 4
    assert features.shape[:2] == (2, network.channels)
    assert network.forward_pooled(features).shape == (2, network.channels)
    assert logits.shape == (2, outputs)
    assert torch.equal(logits, network(photos))


def test_the_gluon_trunk_expands_in_its_first_block_where_timms_does_not() -> None:
    gluon = build_classifier(ClassifierSpec("mobilenetv2_gluon"), 7).trunk
    plain = build_classifier(ClassifierSpec("mobilenetv2_100"), 7).trunk

    assert hasattr(gluon.blocks[0][0], "conv_pwl")
    assert not hasattr(plain.blocks[0][0], "conv_pwl")


def test_the_mlp_head_has_the_layers_that_were_asked_for() -> None:
    spec = ClassifierSpec(
        "mobilenetv2_050", head="mlp", dropout=0.3, hidden=(32, 16), hidden_dropout=(0.5, 0.4)
    )

    head = build_classifier(spec, 2).head

    assert [m.p for m in head if isinstance(m, nn.Dropout)] == [0.5, 0.4, 0.3]
    assert [m.out_features for m in head if isinstance(m, nn.Linear)] == [32, 16, 2]


@pytest.mark.parametrize(
    "spec",
    [
        ClassifierSpec("mobilenet_of_nobody"),
        ClassifierSpec("mobilenetv2_050", head="cubic"),
        ClassifierSpec("mobilenetv2_050", head="mlp"),
        ClassifierSpec("mobilenetv2_050", hidden=(8,), hidden_dropout=(0.1,)),
        ClassifierSpec("mobilenetv2_050", head="mlp", hidden=(8, 4), hidden_dropout=(0.1,)),
    ],
)
def test_a_network_that_cannot_be_built_is_a_named_error(spec: ClassifierSpec) -> None:
    with pytest.raises(ArchitectureError):
        build_classifier(spec, 7)


@pytest.mark.parametrize(
    "spec",
    [
        SegmenterSpec(decoder_channels=(16, 16, 8, 8, 8)),
        SegmenterSpec("unet:resnet18", decoder_channels=(16, 16, 8, 8, 8)),
    ],
)
def test_a_segmenter_gives_one_logit_per_pixel(spec: SegmenterSpec) -> None:
    network = build_segmenter(spec).eval()

    with torch.inference_mode():
        assert network(PHOTOS).shape == (2, 1, 64, 64)


@pytest.mark.parametrize("name", ["unet", "unet:", "unet:encoder_of_nobody", "fcn:resnet18"])
def test_a_segmenter_that_cannot_be_built_is_a_named_error(name: str) -> None:
    with pytest.raises(ArchitectureError):
        build_segmenter(SegmenterSpec(name))


def test_the_gluon_resnet_ends_at_stride_16_and_norms_its_input_first() -> None:
    trunk = build_classifier(ClassifierSpec("resnetv2_50_gluon_stages123"), 7).trunk.eval()
    trunk.stem.data_bn.m.fill_(2.0)
    trunk.stem.data_bn.v.fill_(4.0)

    assert trunk.forward_features(PHOTOS).shape == (2, 1024, 4, 4)
    normed = trunk.stem.data_bn(torch.full((1, 3, 2, 2), 4.0))
    assert torch.allclose(normed, torch.ones(1, 3, 2, 2), atol=1e-4)
