"""From pixels to a verdict, with bundles written to disk and read back."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from inference_worker import pipeline, preprocessing, views
from inference_worker.bundle import ChangedFileError, MissingFileError, load
from inference_worker.calibration import InvalidClassMapError
from inference_worker.errors import ModelError, NonFiniteError, OutOfMemoryError, WrongOutputError
from inference_worker.manifest import FixedGate, Gate, Quality, RiskControlledGate, Step
from inference_worker.pipeline import Pipeline
from inference_worker.pixels import InvalidPixelsError
from inference_worker.verdict import CLASSES, Category, ImageType, Rejection, Stage, Verdict
from tests.inference_worker import drawing, tiny
from tests.inference_worker.drawing import photo

EVERY_STAGE = [*Stage]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write one whole bundle for the tests that only read it."""
    return tiny.write(tmp_path_factory.mktemp("bundle"), segmenter_bias=0.5, ood_limit=1e6)


@pytest.fixture(scope="module")
def whole(folder: Path) -> Pipeline:
    return Pipeline(load(folder))


@pytest.fixture(scope="module")
def verdict(whole: Pipeline) -> Verdict:
    return whole.run(photo())


def gate(threshold: float) -> Gate:
    return Gate(fixed=FixedGate(threshold))


def judge(folder: Path, **bundle: object) -> Verdict:
    """Judge the photo with a bundle of its own, written to `folder`."""
    return Pipeline(load(tiny.write(folder, **bundle))).run(photo())


def by_hand(folder: Path, pixels: np.ndarray) -> np.ndarray:
    """Return the seven probabilities as the recipe says them, one plain pass after the other."""
    bundle = load(folder)
    described = bundle.manifest
    steps = [(step.step, step.params) for step in described.preprocessing]
    square = preprocessing.to_square(preprocessing.apply(pixels, steps), tiny.SIDE)
    mean, std = np.array(described.classifier.input.mean), np.array(described.classifier.input.std)
    image = torch.from_numpy(((square / 255 - mean) / std).transpose(2, 0, 1)).float()
    total = np.zeros(len(CLASSES))
    with torch.no_grad():
        for member in bundle.members:
            for name in described.views:
                logits = member(views.batch(image, [name]))[0].double()
                total += logits.softmax(0).numpy() / (len(bundle.members) * len(described.views))
    powers = total ** (1 / described.temperature)
    return powers / powers.sum()


class TestVerdict:
    def test_the_probabilities_are_those_of_the_recipe_done_by_hand(
        self, folder: Path, verdict: Verdict
    ) -> None:
        told = verdict.classification
        expected = by_hand(folder, photo())
        assert [told.probabilities[name] for name in CLASSES] == pytest.approx(expected, abs=1e-4)
        assert sum(told.probabilities.values()) == pytest.approx(1)

    def test_malignant_is_melanoma_and_two_more(self, verdict: Verdict) -> None:
        told = verdict.classification
        parts = [told.probabilities[name] for name in ("mel", "bcc", "akiec")]
        assert told.p_malignant == pytest.approx(sum(parts))
        assert told.p_melanoma == pytest.approx(told.probabilities["mel"])
        assert told.confidence == pytest.approx(max(told.p_malignant, 1 - told.p_malignant))

    def test_five_members_and_nine_views_give_45_votes(self, verdict: Verdict) -> None:
        told = verdict.classification
        assert len(told.members) == 5
        assert told.votes.total == 45
        assert sum(told.votes.share(category) for category in Category) == pytest.approx(1)

    def test_members_differ_and_each_is_a_probability(self, verdict: Verdict) -> None:
        opinions = [member.p_malignant for member in verdict.classification.members]
        assert len({round(p, 6) for p in opinions}) == 5
        assert all(0 <= p <= 1 for p in opinions)

    def test_the_heat_map_is_a_grid_from_0_to_1_over_what_the_networks_saw(
        self, whole: Pipeline, verdict: Verdict
    ) -> None:
        grid = np.array(verdict.heatmap.grid)
        assert grid.shape == (2, 2)
        assert grid.min() >= 0
        assert grid.max() == pytest.approx(1)
        assert verdict.heatmap.box == (0.0, 0.0, 1.0, 1.0)
        wide = np.ascontiguousarray(np.tile(photo(), (1, 2, 1))[:, :400])
        assert whole.run(wide).heatmap.box == (0.125, 0.0, 0.875, 1.0)

    def test_the_lesion_is_outlined_and_measured(self, verdict: Verdict) -> None:
        assert 3 <= len(verdict.outline) <= 64
        assert all(0 <= share <= 1 for point in verdict.outline for share in point)
        assert 0 < verdict.measurements.area_share <= 1
        assert 0 < verdict.measurements.diameter_px <= math.hypot(300, 225) + 2

    def test_it_survives_json(self, verdict: Verdict) -> None:
        told = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
        assert told["classification"]["category"] in [category.value for category in Category]
        assert told["classification"]["votes"].keys() == {c.value for c in Category}
        assert told["quality"]["short_side"] == 225
        assert told["outline"] == [list(point) for point in verdict.outline]
        assert told["image_type"] == "dermoscopic"

    def test_it_names_the_bundle_and_the_photo(self, folder: Path, verdict: Verdict) -> None:
        assert (verdict.bundle.name, verdict.bundle.version) == ("tiny", "0.1.0")
        assert verdict.bundle.sha256 == load(folder).sha256
        assert (verdict.width, verdict.height) == (300, 225)

    def test_the_same_photo_gets_the_same_verdict_again(
        self, whole: Pipeline, verdict: Verdict
    ) -> None:
        again = whole.run(photo())
        assert again.classification == verdict.classification
        assert again.heatmap == verdict.heatmap

    def test_the_photo_is_not_changed_and_may_be_read_only(self, whole: Pipeline) -> None:
        pixels = photo()
        pixels.setflags(write=False)
        whole.run(pixels)
        assert np.array_equal(pixels, photo())

    def test_a_large_photo_and_its_small_copy_agree(self, whole: Pipeline) -> None:
        large = drawing.lesion(2400, 1800)
        small = preprocessing.shrink(large, 512)
        far, near = whole.run(large).classification, whole.run(small).classification
        assert far.p_malignant == pytest.approx(near.p_malignant, abs=1e-6)


class TestStages:
    def test_each_stage_reports_itself_in_order_and_is_timed(self, whole: Pipeline) -> None:
        told: list[Stage] = []
        verdict = whole.run(photo(), on_stage=told.append)
        assert told == EVERY_STAGE
        assert list(verdict.timings) == [stage.value for stage in EVERY_STAGE]
        assert all(ms > 0 for ms in verdict.timings.values())

    def test_what_the_listener_raises_ends_the_run(self, whole: Pipeline) -> None:
        class TakenOverError(Exception):
            pass

        def listen(stage: Stage) -> None:
            if stage is Stage.ENSEMBLE:
                raise TakenOverError

        with pytest.raises(TakenOverError):
            whole.run(photo(), on_stage=listen)


REFUSED = {
    Rejection.TOO_SMALL: drawing.with_hairs(drawing.lesion(120, 90)),
    Rejection.TOO_DARK: (drawing.lesion(300, 225) * 0.1).astype(np.uint8),
    Rejection.TOO_BRIGHT: np.full((225, 300, 3), 254, np.uint8),
    Rejection.BLURRED: np.full((225, 300, 3), 180, np.uint8),
}


class TestRejection:
    @pytest.mark.parametrize("reason", REFUSED)
    def test_a_poor_photo_stops_at_once(self, whole: Pipeline, reason: Rejection) -> None:
        told: list[Stage] = []
        verdict = whole.run(REFUSED[reason], on_stage=told.append)
        assert verdict.rejection is reason
        assert verdict.classification is None
        assert verdict.heatmap is None
        assert told == [Stage.QUALITY]

    @pytest.mark.parametrize("reason", REFUSED)
    def test_it_gets_its_numbers_all_the_same_when_asked(
        self, whole: Pipeline, reason: Rejection
    ) -> None:
        verdict = whole.run(REFUSED[reason], always_classify=True)
        assert verdict.rejection is reason
        assert verdict.classification.votes.total == 45

    @pytest.mark.parametrize("shape", [(1, 1), (16, 16), (7, 300)])
    def test_not_even_a_speck_breaks_it(self, whole: Pipeline, shape: tuple[int, int]) -> None:
        speck = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
        verdict = whole.run(speck, always_classify=True)
        assert verdict.rejection is Rejection.TOO_SMALL
        assert verdict.classification is not None

    def test_no_lesion_stops_before_the_ensemble(self, tmp_path: Path) -> None:
        blind = Pipeline(load(tiny.write(tmp_path, members=1, segmenter_bias=-50)))
        told: list[Stage] = []
        verdict = blind.run(photo(), on_stage=told.append)
        assert verdict.rejection is Rejection.NO_LESION
        assert verdict.outline is None
        assert told == [Stage.QUALITY, Stage.PREPROCESSING, Stage.SEGMENTATION]

    def test_a_lesion_smaller_than_the_bundle_asks_for_is_none(self, tmp_path: Path) -> None:
        limits = Quality(min_lesion_share=0.999)
        folder = tiny.write(tmp_path, members=1, segmenter_bias=0.0, quality=limits)
        assert Pipeline(load(folder)).run(photo()).rejection is Rejection.NO_LESION

    def test_a_clinical_photo_needs_no_visible_lesion(self, tmp_path: Path) -> None:
        blind = Pipeline(load(tiny.write(tmp_path, members=1, segmenter_bias=-50)))
        assert blind.run(photo(), ImageType.CLINICAL).rejection is None

    def test_what_is_far_from_the_training_photos_is_rejected(self, tmp_path: Path) -> None:
        strict = Pipeline(load(tiny.write(tmp_path, members=1, ood_limit=1e-6)))
        told: list[Stage] = []
        verdict = strict.run(photo(), on_stage=told.append)
        assert verdict.rejection is Rejection.OUT_OF_DISTRIBUTION
        assert verdict.quality.ood_distance > verdict.quality.ood_limit == 1e-6
        assert told == [Stage.QUALITY, Stage.PREPROCESSING]
        numbers = strict.run(photo(), always_classify=True)
        assert numbers.rejection is Rejection.OUT_OF_DISTRIBUTION
        assert numbers.classification is not None

    def test_a_clinical_photo_skips_that_check_and_is_always_deferred(self, tmp_path: Path) -> None:
        folder = tiny.write(tmp_path, members=1, ood_limit=1e-6, gate=gate(0.5))
        verdict = Pipeline(load(folder)).run(photo(), ImageType.CLINICAL)
        assert verdict.rejection is None
        assert verdict.quality.ood_distance is None
        assert verdict.quality.ood_limit is None
        assert verdict.classification.category is Category.SUSPICIOUS
        assert not verdict.classification.decided
        assert verdict.classification.votes.suspicious == 9

    def test_the_distance_is_told_when_the_photo_passes(self, verdict: Verdict) -> None:
        assert 0 < verdict.quality.ood_distance < verdict.quality.ood_limit == 1e6


class TestGate:
    def test_the_active_rule_is_named(self, tmp_path: Path) -> None:
        controlled = Gate("risk_controlled", FixedGate(), RiskControlledGate(0.6, 0.01, 0.05, 0.7))
        told = Pipeline(load(tiny.write(tmp_path, members=1, gate=controlled))).run(photo())
        assert told.classification.gate.value == "risk_controlled"
        assert told.classification.threshold == 0.6

    def test_at_a_threshold_of_a_half_everything_is_decided(self, tmp_path: Path) -> None:
        told = judge(tmp_path, members=3, gate=gate(0.5)).classification
        assert told.decided
        assert told.category is not Category.SUSPICIOUS
        assert told.votes.suspicious == 0

    def test_exactly_the_threshold_decides_and_a_hair_more_defers(self, tmp_path: Path) -> None:
        reached = judge(tmp_path / "a", members=1).classification.confidence
        at = judge(tmp_path / "b", members=1, gate=gate(reached))
        over = judge(tmp_path / "c", members=1, gate=gate(math.nextafter(reached, 1)))
        assert at.classification.decided
        assert not over.classification.decided
        assert over.classification.category is Category.SUSPICIOUS


class TestOtherBundles:
    def test_one_sigmoid_output(self, tmp_path: Path) -> None:
        folder = tiny.write(
            tmp_path,
            outputs=("malignant",),
            activation="sigmoid",
            class_map={"malignant": ("malignant",)},
            gate=gate(0.5),
        )
        verdict = Pipeline(load(folder)).run(photo())
        told = verdict.classification
        assert told.p_melanoma is None
        assert told.probabilities == {}
        assert told.votes.melanoma == 0
        assert told.votes.total == 45
        assert told.category in {Category.BENIGN, Category.MALIGNANT}
        assert all(member.p_melanoma is None for member in told.members)
        assert verdict.heatmap is not None

    def test_two_outputs(self, tmp_path: Path) -> None:
        folder = tiny.write(
            tmp_path,
            members=2,
            outputs=("benign", "malignant"),
            class_map={"malignant": ("malignant",)},
        )
        told = Pipeline(load(folder)).run(photo()).classification
        assert told.p_melanoma is None
        assert told.votes.total == 18
        assert 0 <= told.p_malignant <= 1

    def test_a_bundle_without_segmenter_and_statistics_says_nothing_of_them(
        self, tmp_path: Path
    ) -> None:
        verdict = Pipeline(load(tiny.write(tmp_path, members=1))).run(photo())
        assert verdict.rejection is None
        assert verdict.outline is None
        assert verdict.measurements is None
        assert verdict.quality.ood_distance is None
        assert verdict.classification is not None

    def test_one_view_that_is_not_the_photo_as_it_stands(self, tmp_path: Path) -> None:
        verdict = Pipeline(load(tiny.write(tmp_path, members=2, views=("hflip",)))).run(photo())
        assert verdict.classification.votes.total == 2
        assert verdict.heatmap is not None

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"preprocessing": (Step("sharpen"),)}, preprocessing.UnknownStepError),
            ({"views": ("identity", "zoom")}, views.UnknownViewError),
            ({"class_map": {"malignant": CLASSES}}, InvalidClassMapError),
        ],
        ids=["step", "view", "class map"],
    )
    def test_what_this_version_lacks_is_refused_before_any_photo(
        self, tmp_path: Path, change: dict[str, object], error: type[ValueError]
    ) -> None:
        folder = tiny.write(tmp_path, members=1, **change)
        with pytest.raises(error) as caught:
            Pipeline(load(folder))
        assert caught.value.code == "bundle_invalid"


class TestFailClosed:
    def test_a_nan_in_one_member_is_never_a_result(self, folder: Path) -> None:
        bundle = load(folder)
        bundle.members[3].head[-1].weight[2, 5] = float("nan")
        with pytest.raises(NonFiniteError, match="member 3") as caught:
            Pipeline(bundle).run(photo())
        assert caught.value.code == "model_nonfinite"

    def test_a_nan_in_the_trunk_is_never_a_result(self, folder: Path) -> None:
        bundle = load(folder)
        next(bundle.members[4].parameters()).view(-1)[0] = float("nan")
        with pytest.raises(NonFiniteError):
            Pipeline(bundle).run(photo())

    def test_a_nan_in_the_segmenter_is_never_a_result(self, folder: Path) -> None:
        bundle = load(folder)
        bundle.segmenter.segmentation_head[0].bias[0] = float("nan")
        with pytest.raises(NonFiniteError, match="segmenter"):
            Pipeline(bundle).run(photo())

    def test_an_infinity_in_the_statistics_is_never_a_result(self, folder: Path) -> None:
        bundle = load(folder)
        bundle.ood.mean[0] = float("inf")
        with pytest.raises(NonFiniteError, match="distribution"):
            Pipeline(bundle).run(photo())

    def test_a_member_of_another_width_is_never_a_result(self, folder: Path) -> None:
        bundle = load(folder)
        bundle.members[1].head[-1] = torch.nn.Linear(bundle.members[1].channels, 6)
        with pytest.raises(WrongOutputError, match="member 1"):
            Pipeline(bundle).run(photo())

    def test_a_missing_member_stops_the_bundle(self, tmp_path: Path) -> None:
        folder = tiny.write(tmp_path, members=2)
        (folder / "member-1.safetensors").unlink()
        with pytest.raises(MissingFileError, match=r"member-1\.safetensors"):
            pipeline.current(folder)

    def test_one_flipped_byte_stops_the_bundle(self, tmp_path: Path) -> None:
        folder = tiny.write(tmp_path, members=2)
        weights = folder / "member-1.safetensors"
        content = bytearray(weights.read_bytes())
        content[-7] ^= 1
        weights.write_bytes(content)
        with pytest.raises(ChangedFileError, match=r"member-1\.safetensors"):
            pipeline.current(folder)

    def test_too_little_memory_has_a_name(self, folder: Path) -> None:
        bundle = load(folder)

        class Greedy(torch.nn.Module):
            def forward(self, _: torch.Tensor) -> torch.Tensor:
                return torch.empty(2**62, dtype=torch.uint8)

        bundle.members[2].head = Greedy()
        with pytest.raises(OutOfMemoryError) as caught:
            Pipeline(bundle).run(photo())
        assert caught.value.code == "out_of_memory"
        assert isinstance(caught.value, ModelError)

    def test_what_is_no_photo_is_refused(self, whole: Pipeline) -> None:
        with pytest.raises(InvalidPixelsError):
            whole.run(np.zeros((225, 300), np.uint8))
