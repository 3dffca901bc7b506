"""Cleaning that spares the lesion: the same photo, bit for bit, as cleaning it all over again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference_worker import preprocessing, sparing
from inference_worker.bundle import load
from inference_worker.pipeline import Pipeline
from inference_worker.pixels import InvalidPixelsError
from inference_worker.segmentation import Lesion
from inference_worker.sparing import Cleaning
from tests.inference_worker import drawing, tiny

STEPS = [("hair", {}), ("black_corners", {}), ("ink", {}), ("clahe", {}), ("plasters", {})]
WIDTH, HEIGHT = 512, 384


def marked() -> np.ndarray:
    """Draw a hairy lesion with black corners and a stroke of ink beside it."""
    pixels = drawing.with_hairs(drawing.lesion(WIDTH, HEIGHT))
    pixels = drawing.with_black_corners(pixels)
    pixels[300:324, 160:360] = (40, 60, 190)
    return pixels


def box(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


NOWHERE = box(0, 0, 0, 0)
IN_THE_MIDDLE = box(150, 230, 200, 310)
OVER_A_CORNER = box(0, 120, 0, 150)
OVER_THE_INK = box(290, 340, 200, 300)
EVERYWHERE = box(0, HEIGHT, 0, WIDTH)
MASKS = [NOWHERE, IN_THE_MIDDLE, OVER_A_CORNER, OVER_THE_INK, OVER_A_CORNER | OVER_THE_INK]
RUNS_AGAIN = [0, 0, 4, 3, 4]


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the steps that run once the mask is known."""
    names: list[str] = []
    run = sparing.run

    def note(pixels: np.ndarray, step: object, mask: np.ndarray | None = None) -> np.ndarray:
        if mask is not None:
            names.append(type(step).__name__)
        return run(pixels, step, mask)

    monkeypatch.setattr(sparing, "run", note)
    return names


def test_what_the_drawing_shows_is_found_and_filled() -> None:
    for name, _ in (*STEPS[1:3],):
        assert not np.array_equal(preprocessing.apply(marked(), [(name, {})]), marked())


@pytest.mark.parametrize(
    ("mask", "steps"), list(zip([*MASKS, EVERYWHERE], [*RUNS_AGAIN, 4], strict=True))
)
def test_a_mask_changes_what_it_touches_and_no_step_before_that_runs_again(
    mask: np.ndarray, steps: int, again: list[str]
) -> None:
    cleaning = Cleaning(marked(), STEPS)
    assert np.array_equal(cleaning.pixels, preprocessing.apply(marked(), STEPS))
    assert np.array_equal(cleaning.sparing(mask), preprocessing.apply(marked(), STEPS, mask))
    assert len(again) == steps


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_steps_and_any_mask_gives_the_photo_of_a_second_cleaning(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = [STEPS[number] for number in rng.permutation(len(STEPS))]
    cleaning = Cleaning(marked(), steps)
    for _ in range(4):
        top, left = int(rng.integers(0, 300)), int(rng.integers(0, 400))
        mask = box(top, top + int(rng.integers(1, 200)), left, left + int(rng.integers(1, 300)))
        assert np.array_equal(cleaning.sparing(mask), preprocessing.apply(marked(), steps, mask))


def test_a_mask_that_brings_a_step_below_its_largest_share_lets_it_fill() -> None:
    share = preprocessing.to_fill(marked(), preprocessing.BlackCorners()).mean()
    steps = [("black_corners", {"max_share": 0.75 * share})]
    half = box(0, HEIGHT, 0, WIDTH // 2)
    cleaning = Cleaning(marked(), steps)
    assert np.array_equal(cleaning.pixels, marked())
    expected = preprocessing.apply(marked(), steps, half)
    assert not np.array_equal(expected, marked())
    assert np.array_equal(cleaning.sparing(half), expected)


def test_without_marks_there_is_nothing_to_spare() -> None:
    assert not Cleaning(drawing.lesion(WIDTH, HEIGHT), STEPS[:3]).may_have_cut
    assert Cleaning(marked(), STEPS).may_have_cut


def test_a_mask_of_another_photo_is_refused() -> None:
    with pytest.raises(InvalidPixelsError):
        Cleaning(marked(), STEPS).sparing(np.zeros((10, 10), np.bool_))


@pytest.mark.parametrize(("mask", "runs"), [(OVER_A_CORNER, 2), (IN_THE_MIDDLE, 0)])
def test_the_pipeline_cleans_again_only_what_reaches_the_lesion(
    tmp_path: Path,
    again: list[str],
    monkeypatch: pytest.MonkeyPatch,
    mask: np.ndarray,
    runs: int,
) -> None:
    monkeypatch.setattr(Lesion, "mask_of_photo", lambda _, width, height: mask[:height, :width])
    photo = drawing.with_black_corners(drawing.lesion(WIDTH, HEIGHT))
    bundle = load(tiny.write(tmp_path, members=1, segmenter_bias=0.5))
    assert Pipeline(bundle).run(photo, always_classify=True).outline is not None
    assert len(again) == runs
