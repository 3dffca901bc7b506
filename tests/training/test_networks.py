from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import nn

from inference_worker import tensors
from inference_worker.architectures import ClassifierSpec, build_classifier
from inference_worker.manifest import Input
from tests.training import drawn
from training import augment, networks, recipe
from training.fit import Run

SPEC = ClassifierSpec("mobilenetv2_050")


def test_a_trunk_starts_from_a_file_that_fits(tmp_path: Path) -> None:
    weights = build_classifier(SPEC, 3).trunk.state_dict()
    save_file(weights, tmp_path / "trunk.safetensors")

    found = networks.classifier(SPEC, 2, tmp_path / "trunk.safetensors").trunk.state_dict()

    assert all(torch.equal(found[name], weights[name]) for name in weights)


def test_the_pretrained_last_norm_of_a_convnext_becomes_the_heads(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pretrained = timm.create_model("convnext_atto", num_classes=0).eval()
    nn.init.normal_(pretrained.head.norm.weight)
    nn.init.normal_(pretrained.head.norm.bias)
    save_file(pretrained.state_dict(), tmp_path / "trunk.safetensors")
    photos = torch.randn(2, 3, 64, 64)

    spec = ClassifierSpec("convnext_atto", head="norm_linear")
    found = networks.classifier(spec, 2, tmp_path / "trunk.safetensors").eval()

    with torch.inference_mode():
        own = found.head[0](found.forward_pooled(found.forward_features(photos)))  # type: ignore[index]
        assert torch.allclose(own, pretrained(photos), atol=1e-3)
    assert not list(found.trunk.head.parameters())  # type: ignore[union-attr]


def test_a_head_without_a_norm_does_without_the_pretrained_one(tmp_path: Path) -> None:
    pretrained = timm.create_model("convnext_atto", num_classes=0)
    save_file(pretrained.state_dict(), tmp_path / "trunk.safetensors")
    spec = ClassifierSpec("convnext_atto", head="linear")

    found = networks.classifier(spec, 2, tmp_path / "trunk.safetensors")

    assert {n for n, _ in found.named_parameters() if n.startswith("head")} == {
        "head.1.weight",
        "head.1.bias",
    }


def test_a_file_that_does_not_fit_is_named(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")

    with pytest.raises(networks.InitError, match=r"other\.safetensors"):
        networks.classifier(SPEC, 2, tmp_path / "other.safetensors")


def test_without_a_network_the_hub_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))

    with pytest.raises(networks.InitError, match="leave 'init' out to start from random weights"):
        networks.classifier(ClassifierSpec("mobilenetv2_050"), 2, networks.HUB)


def test_at_smoke_size_neither_hub_nor_absent_file_is_needed(tmp_path: Path) -> None:
    made = recipe.load("resnet50")[0]
    small, whole = (
        Run(made, tmp_path, tmp_path, torch.device("cpu"), smoke=smoke) for smoke in (True, False)
    )

    assert small.init(networks.HUB) is None
    assert small.init("absent.safetensors") is None
    assert whole.init(networks.HUB) == networks.HUB
    assert whole.init("absent.safetensors") == tmp_path / "absent.safetensors"


@pytest.mark.parametrize(
    "how",
    [
        Input(32),
        Input(
            32,
            mean=(103.939, 116.779, 123.68),
            std=(1.0, 1.0, 1.0),
            channel_order="BGR",
            scale=1.0,
        ),
    ],
)
def test_training_reads_pixels_as_serving_does(how: Input) -> None:
    photo = drawn.lesion(3, (32, 32))[0]

    trained = augment.as_input(augment.to_float(photo[None]), how)[0]

    served = tensors.to_tensor(photo, how, torch.device("cpu"))
    assert torch.allclose(trained, served, rtol=1e-4, atol=1e-3)
    assert np.isfinite(served.numpy()).all()


def test_the_recipes_say_what_their_sources_say() -> None:
    made = {name: recipe.load(name)[0] for name in recipe.names()}

    convnext = made["convnext_base"]
    assert convnext.seeds == (42, 123, 456, 789, 2025)
    assert [(s.epochs, s.train) for s in convnext.schedule.stages] == [
        (10, "head"),
        (15, "last"),
        (25, "all"),
    ]
    assert convnext.schedule.stages[2].trunk_lr == (1e-5, 2.5e-5, 5e-5)
    assert (convnext.schedule.loss.name, convnext.schedule.loss.gamma) == ("focal", 2.0)
    assert made["convnext_base_faithful"].classifier.hidden == (768, 512)
    assert made["resnet50"].input.mean == (103.939, 116.779, 123.68)
    assert made["resnet50"].input.channel_order == "BGR"
    assert made["efficientnet_b3"].outputs == ("benign", "suspicious", "malignant", "melanoma")
    assert made["unet_efficientnet"].segmenter is not None
    assert made["mobilenetv2"].activation == "sigmoid"
