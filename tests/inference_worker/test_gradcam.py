"""The heat map from the head alone, against Grad-CAM through the whole network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from torch import nn

from inference_worker import gradcam
from inference_worker.architectures import Classifier, ClassifierSpec, build_classifier
from inference_worker.errors import NonFiniteError

MALIGNANT = (0, 1, 4)
BOX = (0.0, 0.0, 1.0, 1.0)


def network(seed: int, head: str = "linear", outputs: int = 7) -> Classifier:
    torch.manual_seed(seed)
    hidden = {"hidden": (32,), "hidden_dropout": (0.3,)} if head == "mlp" else {}
    spec = ClassifierSpec("mobilenetv2_050", head=head, **hidden)
    return build_classifier(spec, outputs).eval()


def photo(side: int = 160) -> torch.Tensor:
    return torch.rand((1, 3, side, side), generator=torch.Generator().manual_seed(5))


def features(classifier: Classifier) -> torch.Tensor:
    with torch.inference_mode():
        return classifier.forward_features(photo())


class Whole(nn.Module):
    """The network with its feature map behind a layer of its own, for hooks on the full pass."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.map = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier.forward_head(self.map(self.classifier.forward_features(x)))


def oracle(classifier: Classifier, target: gradcam.MalignancyTarget) -> np.ndarray:
    whole = Whole(classifier)
    with GradCAM(model=whole, target_layers=[whole.map]) as cam:
        return cam(input_tensor=photo(), targets=[target])[0]


@pytest.mark.parametrize("head", ["linear", "norm_linear", "mlp"])
def test_the_head_alone_agrees_with_the_whole_network(head: str) -> None:
    classifier = network(3, head)
    target = gradcam.MalignancyTarget(MALIGNANT, "softmax")
    grid = gradcam.member_map(classifier, features(classifier), target)
    enlarged = scale_cam_image(scale_cam_image(grid[None], (160, 160)))[0]
    expected = oracle(classifier, target)
    assert grid.shape == (5, 5)
    assert expected.max() > 0.9
    assert np.abs(enlarged - expected).max() <= 1e-4


def test_one_sigmoid_output_agrees_too() -> None:
    classifier = network(4, outputs=1)
    target = gradcam.MalignancyTarget((1,), "sigmoid")
    grid = gradcam.member_map(classifier, features(classifier), target)
    enlarged = scale_cam_image(scale_cam_image(grid[None], (160, 160)))[0]
    assert np.abs(enlarged - oracle(classifier, target)).max() <= 1e-4


def test_the_target_is_the_log_odds_of_malignant() -> None:
    logits = torch.tensor([0.3, -1.0, 2.0, 0.1, 0.7, 1.1, -0.4])
    p_malignant = logits.softmax(0)[list(MALIGNANT)].sum()
    log_odds = torch.log(p_malignant / (1 - p_malignant))
    target = gradcam.MalignancyTarget(MALIGNANT, "softmax")
    assert target(logits).item() == pytest.approx(log_odds.item(), abs=1e-5)
    single = gradcam.MalignancyTarget((1,), "sigmoid")
    assert single(torch.tensor([0.8])).item() == pytest.approx(0.8)


class Spot(nn.Module):
    """A network whose only malignant evidence is one channel: its map is known."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))

    def forward_head(self, map_: torch.Tensor) -> torch.Tensor:
        return map_.mean(dim=(2, 3)) @ self.weight.T


def spot_map(row: int, column: int) -> torch.Tensor:
    map_ = torch.zeros((1, 2, 6, 6))
    map_[0, 0, row, column] = 5.0
    map_[0, 1, 5, 5] = 9.0
    return map_


def test_the_heat_lies_where_the_evidence_is() -> None:
    target = gradcam.MalignancyTarget((1,), "softmax")
    heat = gradcam.heatmap([Spot()], [spot_map(2, 4)], target, BOX)
    grid = np.array(heat.grid)
    assert grid[2, 4] == 1.0
    assert grid.sum() == 1.0


def test_members_are_averaged_and_the_mean_is_scaled_to_one() -> None:
    target = gradcam.MalignancyTarget((1,), "softmax")
    maps = [spot_map(2, 4), spot_map(2, 4), spot_map(0, 0)]
    grid = np.array(gradcam.heatmap([Spot()] * 3, maps, target, BOX).grid)
    assert grid[2, 4] == 1.0
    assert grid[0, 0] == pytest.approx(0.5)


def test_a_coarser_members_map_is_enlarged_to_the_finest_grid() -> None:
    target = gradcam.MalignancyTarget((1,), "softmax")
    coarse = torch.zeros((1, 2, 3, 3))
    coarse[0, 0, 2, 2] = 1.0
    maps = [coarse, torch.zeros((1, 2, 6, 6))]
    grid = np.array(gradcam.heatmap([Spot()] * 2, maps, target, BOX).grid)
    assert grid.shape == (6, 6)
    assert grid[5, 5] == 1.0
    assert not grid[:3, :3].any()


def test_no_evidence_makes_no_heat() -> None:
    target = gradcam.MalignancyTarget((1,), "softmax")
    grid = np.array(gradcam.heatmap([Spot()], [torch.zeros((1, 2, 6, 6))], target, BOX).grid)
    assert grid.shape == (6, 6)
    assert not grid.any()


class Scales(nn.Module):
    """A network whose first channel speaks for malignant, and whose second against it."""

    def forward_head(self, map_: torch.Tensor) -> torch.Tensor:
        return map_.mean(dim=(2, 3)).flip(1)


def balanced(more: float, column: int = 4) -> torch.Tensor:
    """Return a map in which both weigh the same in all cells, but in one where there is `more`."""
    map_ = torch.full((1, 2, 6, 6), 9.0)
    map_[0, 0, 2, column] += more
    return map_


def of_five(*maps: torch.Tensor) -> np.ndarray:
    target = gradcam.MalignancyTarget((1,), "softmax")
    return np.array(
        gradcam.heatmap([Scales()] * 5, list(maps) * (5 // len(maps)), target, BOX).grid
    )


def test_next_to_no_evidence_is_not_stretched_to_a_whole_map() -> None:
    faint = of_five(balanced(1e-3))
    assert 0 < faint[2, 4] < 0.1
    assert of_five(balanced(0.5))[2, 4] == 1.0


def test_rounding_makes_no_map_of_its_own() -> None:
    """In whichever cell it lies."""
    assert np.abs(of_five(balanced(1e-5)) - of_five(balanced(1e-5, column=0))).max() <= 1e-3


@pytest.mark.parametrize("share", [gradcam.LEAST, gradcam.LEAST * gradcam.FAINT])
def test_no_limit_is_a_step(share: float) -> None:
    """Of the 18 that two channels of 9 weigh in a cell."""
    below, above = (of_five(balanced(18 * share * factor)) for factor in (0.999, 1.001))
    assert np.abs(above - below).max() <= 5e-3


def test_one_members_faint_map_leaves_the_others_as_they_are() -> None:
    target = gradcam.MalignancyTarget((1,), "softmax")
    maps = [spot_map(2, 4), balanced(1e-3)]
    grid = np.array(gradcam.heatmap([Spot(), Scales()], maps, target, BOX).grid)
    alone = np.array(gradcam.heatmap([Spot()], maps[:1], target, BOX).grid)
    assert np.abs(grid - alone).max() <= 0.01


def test_a_map_that_is_not_finite_is_no_heat_map() -> None:
    target = gradcam.MalignancyTarget((1,), "softmax")
    broken = spot_map(1, 1)
    broken[0, 0, 3, 3] = float("nan")
    with pytest.raises(NonFiniteError, match="heat map"):
        gradcam.heatmap([Spot()], [broken], target, BOX)


def test_the_kept_map_and_the_weights_are_left_as_they_were() -> None:
    classifier = network(3)
    for parameter in classifier.parameters():
        parameter.requires_grad_(requires_grad=False)
    kept = features(classifier)
    before = kept.clone()
    target = gradcam.MalignancyTarget(MALIGNANT, "softmax")
    gradcam.heatmap([classifier], [kept], target, BOX)
    assert torch.equal(kept, before)
    assert all(parameter.grad is None for parameter in classifier.parameters())
    assert not classifier.head[-1]._forward_hooks
