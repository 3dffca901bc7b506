"""The plain reference: it says what the pipeline says, and takes the way that the recipes take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import material, naive, photos
from inference_worker import views
from inference_worker.bundle import Bundle, load
from inference_worker.gradcam import MalignancyTarget, member_map
from inference_worker.pipeline import Pipeline
from tests.inference_worker import drawing, tiny

SIGMOID = {
    "outputs": ("malignant",),
    "activation": "sigmoid",
    "class_map": {"malignant": ("malignant",)},
}
SEVEN = MalignancyTarget((0, 1, 4), "softmax")


def check_agreement(bundle: Bundle, pixels: np.ndarray) -> naive.Answer:
    answer = naive.judge(bundle, pixels)
    verdict = Pipeline(bundle).run(pixels, always_classify=True)
    said, opinion = verdict.classification, answer.opinion
    assert opinion.p_malignant == pytest.approx(said.p_malignant, abs=1e-5)
    assert opinion.p_melanoma == pytest.approx(said.p_melanoma, abs=1e-5)
    assert opinion.probabilities == pytest.approx(said.probabilities, abs=1e-5)
    assert answer.category == said.category
    assert answer.heatmap() == pytest.approx(np.array(verdict.heatmap.grid), abs=1e-4)
    return answer


@pytest.mark.parametrize("number", [0, 1])
def test_the_plain_reference_and_the_pipeline_agree(tmp_path: Path, number: int) -> None:
    folder = material.write_bundle(tmp_path, "mobilenetv2_050", members=2, side=128, views=9)
    answer = check_agreement(load(folder), photos.draw_photos(2)[number])
    assert [grid.shape for grid in answer.cams] == [(4, 4)] * 2
    assert 0 < answer.heatmap().mean() < answer.heatmap().max() == 1


def test_a_faint_mean_is_not_scaled_up_to_one(tmp_path: Path) -> None:
    answer = naive.judge(load(tiny.write(tmp_path, members=2)), drawing.lesion())
    grids = [np.full((2, 2), peak, np.float32) for peak in (0.02, 0.08)]
    assert replace(answer, cams=grids).heatmap() == pytest.approx(np.full((2, 2), 0.5))


class Scales(torch.nn.Module):
    """A member whose feature map is given: the first channel speaks for malignant, one against."""

    def __init__(self, map_: torch.Tensor) -> None:
        super().__init__()
        self.map = torch.nn.Parameter(map_)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        return self.map + 0 * x.mean()

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        return features.mean(dim=(2, 3)).flip(1)


@pytest.mark.parametrize("more", [2e-3, 0.5])
def test_a_members_faint_map_is_told_as_faint_as_ours(more: float) -> None:
    map_ = torch.full((1, 2, 6, 6), 9.0)
    map_[0, 0, 2, 4] += more
    target = MalignancyTarget((1,), "softmax")
    told = naive._cam(Scales(map_), torch.rand(1, 3, 8, 8), target)
    own = member_map(Scales(map_), map_, target)
    assert told == pytest.approx(own, abs=1e-3)
    assert told[2, 4] == pytest.approx(min(1.0, more / 0.18), rel=0.02)


def test_they_agree_on_one_output_too(tmp_path: Path) -> None:
    check_agreement(load(tiny.write(tmp_path, members=2, **SIGMOID)), drawing.lesion())


def test_neither_cleans_into_a_lesion_that_reaches_the_corners(tmp_path: Path) -> None:
    dark = drawing.with_black_corners(drawing.lesion(centre=(0.2, 0.2), radius=0.3))
    bundle = load(tiny.write(tmp_path, members=2, segmenter_bias=0.5))
    check_agreement(bundle, dark)


@pytest.mark.parametrize("name", material.NINE)
def test_a_view_by_pil_is_the_products_view(name: str) -> None:
    square = np.random.default_rng(3).integers(0, 256, (96, 96, 3), np.uint8)
    image = torch.from_numpy(square.transpose(2, 0, 1).astype(np.float32))
    expected = views.batch(image, [name])[0].numpy().transpose(1, 2, 0)
    # In gray levels: rounded ones would be half a level apart.
    assert naive.view(square, name) == pytest.approx(expected, abs=5e-3)


def test_the_pass_backward_reaches_every_weight_and_leaves_none_changed() -> None:
    member = tiny.member(0)
    before = {name: weight.clone() for name, weight in member.named_parameters()}
    reached = set()

    def target(logits: torch.Tensor) -> torch.Tensor:
        for name, weight in member.named_parameters():
            weight.register_hook(lambda _gradient, name=name: reached.add(name))
        return SEVEN(logits)

    grid = naive._cam(member, torch.rand(1, 3, 64, 64), target)

    assert grid.shape == (2, 2)
    assert reached == set(before)
    assert all(torch.equal(weight, before[name]) for name, weight in member.named_parameters())
    assert not any(weight.requires_grad for weight in member.parameters())
    assert all(weight.grad is None for weight in member.parameters())


def test_a_weight_that_was_not_frozen_is_not_frozen_afterwards() -> None:
    member = tiny.member(0).requires_grad_(requires_grad=True)
    member.head[-1].bias.requires_grad_(requires_grad=False)
    naive._cam(member, torch.rand(1, 3, 64, 64), SEVEN)
    frozen = [name for name, weight in member.named_parameters() if not weight.requires_grad]
    assert len(frozen) == 1
    assert frozen[0].startswith("head.")


def test_members_grids_are_averaged_at_the_finest_and_scaled() -> None:
    fine, coarse = np.zeros((4, 4), np.float32), np.zeros((2, 2), np.float32)
    fine[0, 0] = 1
    coarse[1, 1] = 0.5
    heat = naive.Answer(None, None, [fine, coarse]).heatmap()
    assert heat.shape == (4, 4)
    assert (heat[0, 0], heat[3, 3]) == (1.0, 0.5)


def test_no_evidence_makes_no_heat() -> None:
    heat = naive.Answer(None, None, [np.zeros((2, 2), np.float32)] * 2).heatmap()
    assert not heat.any()
