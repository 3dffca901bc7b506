"""Each preprocessing step, shown on a drawn photo."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inference_worker import preprocessing
from inference_worker.field_of_view import fit_field
from inference_worker.pixels import InvalidPixelsError
from tests.inference_worker import drawing

CORNERS = (slice(0, 20), slice(0, 20))


def gray(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)


class TestBlackCorners:
    def test_black_corners_take_the_colour_of_the_skin(self) -> None:
        photo = drawing.with_black_corners(drawing.lesion())
        filled = preprocessing.fill_black_corners(photo)
        assert gray(photo)[CORNERS].max() == 0
        assert gray(filled)[CORNERS].min() > 120

    def test_the_field_of_view_itself_is_not_touched(self) -> None:
        photo = drawing.with_black_corners(drawing.lesion())
        filled = preprocessing.fill_black_corners(photo)
        assert np.array_equal(filled[100:350, 150:450], photo[100:350, 150:450])

    def test_the_circle_is_found_where_it_is(self) -> None:
        photo = drawing.with_black_corners(drawing.skin(), radius=0.58)
        circle = fit_field(gray(photo) < 50)
        assert circle is not None
        assert (circle.x, circle.y) == pytest.approx((300, 225), abs=2)
        assert circle.radius == pytest.approx(0.58 * 450, abs=2)

    def test_a_black_lesion_that_touches_a_corner_is_not_erased(self) -> None:
        photo = drawing.lesion(centre=(0.12, 0.12), radius=0.35, colour=(20, 14, 12))
        assert gray(photo)[CORNERS].max() < 50
        assert np.array_equal(preprocessing.fill_black_corners(photo), photo)

    def test_a_black_lesion_in_the_middle_is_not_erased(self) -> None:
        photo = drawing.lesion(radius=0.4, colour=(20, 14, 12))
        assert np.array_equal(preprocessing.fill_black_corners(photo), photo)

    def test_a_black_lesion_that_runs_into_a_black_corner_survives_inside_the_circle(self) -> None:
        lesion = drawing.lesion(centre=(0.25, 0.22), radius=0.25, colour=(20, 14, 12))
        photo = drawing.with_black_corners(lesion, radius=0.6)
        filled = preprocessing.fill_black_corners(photo)
        # The corner on the lesion's side takes the lesion's colour; the others tell.
        assert gray(filled)[-20:, -20:].min() > 120
        assert np.array_equal(filled[80:150, 110:200], photo[80:150, 110:200])

    def test_hairs_across_the_corners_do_not_hide_them(self) -> None:
        photo = drawing.with_hairs(drawing.with_black_corners(drawing.lesion()))
        filled = preprocessing.fill_black_corners(photo)
        assert np.median(gray(filled)[CORNERS]) > 120

    def test_nothing_is_filled_inside_the_lesion_mask(self) -> None:
        photo = drawing.with_black_corners(drawing.lesion())
        mask = np.zeros(photo.shape[:2], np.bool_)
        mask[:120, :160] = True
        filled = preprocessing.apply(photo, [("black_corners", {})], mask)
        assert np.array_equal(filled[mask], photo[mask])
        assert gray(filled)[:20, -20:].min() > 120


class TestHair:
    def test_hairs_vanish(self) -> None:
        bald = drawing.lesion()
        hairy = drawing.with_hairs(bald)
        on_hair = np.abs(gray(hairy).astype(int) - gray(bald)) > 60
        cleaned = preprocessing.remove_hair(hairy)
        before = np.abs(gray(hairy).astype(int) - gray(bald))[on_hair].mean()
        after = np.abs(gray(cleaned).astype(int) - gray(bald))[on_hair].mean()
        assert on_hair.mean() > 0.01
        assert after < 0.2 * before

    def test_a_lesion_without_hairs_stays_as_it_is(self) -> None:
        photo = drawing.lesion()
        assert not preprocessing.hair_mask(photo)[150:300, 220:380].any()

    def test_dots_of_a_lesion_are_no_hairs(self) -> None:
        photo = drawing.lesion()
        for x in range(240, 361, 30):
            cv2.circle(photo, (x, 225), 4, (40, 25, 20), -1)
        assert not preprocessing.hair_mask(photo)[200:250, 230:370].any()

    @pytest.mark.parametrize("width", [200, 600, 1200])
    def test_hairs_are_found_at_every_size(self, width: int) -> None:
        photo = drawing.with_hairs(drawing.skin(width, width * 3 // 4))
        cleaned = preprocessing.remove_hair(photo)
        assert (gray(photo) < 90).mean() > 0.01
        assert (gray(cleaned) < 90).mean() < 0.2 * (gray(photo) < 90).mean()

    def test_at_most_the_stated_share_is_filled(self) -> None:
        photo = drawing.with_hairs(drawing.skin(), count=30)
        step = preprocessing.Hair(max_share=0.05)
        assert preprocessing.hair_mask(photo).mean() > 0.05
        assert 0 < preprocessing.hair_mask(photo, step).mean() <= 0.05


class TestClahe:
    def test_local_contrast_grows(self) -> None:
        faint = drawing.lesion(colour=(208, 164, 146))
        equalised = preprocessing.equalise(faint)
        assert gray(equalised).std() > 1.3 * gray(faint).std()

    def test_hue_stays(self) -> None:
        photo = drawing.lesion()
        before = cv2.cvtColor(photo, cv2.COLOR_RGB2LAB)[225, 300, 1:].astype(int)
        after = cv2.cvtColor(preprocessing.equalise(photo), cv2.COLOR_RGB2LAB)[225, 300, 1:]
        assert np.abs(after - before).max() <= 6


class TestToSquare:
    def test_a_4_by_3_frame_is_kept_whole(self) -> None:
        assert preprocessing.crop_box(600, 450) == (0.0, 0.0, 1.0, 1.0)
        assert preprocessing.crop_box(450, 600) == (0.0, 0.0, 1.0, 1.0)

    def test_a_wide_frame_loses_its_ends_evenly(self) -> None:
        assert preprocessing.crop_box(1600, 900) == (0.125, 0.0, 0.875, 1.0)
        assert preprocessing.crop_box(900, 1600) == (0.0, 0.125, 1.0, 0.875)

    def test_the_square_shows_the_box(self) -> None:
        photo = np.zeros((90, 160, 3), np.uint8)
        photo[:, 20:140] = 255
        assert preprocessing.to_square(photo, 64).min() == 255

    def test_shrinking_averages(self) -> None:
        board = np.indices((256, 256)).sum(axis=0) % 2 * 255
        photo = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
        small = preprocessing.to_square(photo, 64)
        assert small.shape == (64, 64, 3)
        assert np.abs(small.astype(int) - 128).max() <= 1

    def test_a_small_photo_is_enlarged(self) -> None:
        assert preprocessing.to_square(drawing.skin(120, 100), 192).shape == (192, 192, 3)


class TestApply:
    def test_steps_run_in_the_order_given(self) -> None:
        photo = drawing.with_hairs(drawing.with_black_corners(drawing.lesion()))
        names = ["black_corners", "hair", "clahe"]
        expected = preprocessing.equalise(
            preprocessing.remove_hair(preprocessing.fill_black_corners(photo))
        )
        assert np.array_equal(preprocessing.apply(photo, [(n, {}) for n in names]), expected)
        backwards = preprocessing.apply(photo, [(n, {}) for n in reversed(names)])
        assert not np.array_equal(backwards, expected)

    def test_the_argument_is_not_changed(self) -> None:
        photo = drawing.with_hairs(drawing.with_black_corners(drawing.lesion()))
        kept = photo.copy()
        preprocessing.apply(photo, [("black_corners", {}), ("hair", {}), ("clahe", {})])
        assert np.array_equal(photo, kept)

    def test_parameters_reach_the_step(self) -> None:
        photo = drawing.lesion()
        strong = preprocessing.apply(photo, [("clahe", {"clip": 20.0})])
        assert np.array_equal(strong, preprocessing.equalise(photo, preprocessing.Clahe(clip=20)))

    @pytest.mark.parametrize(
        ("name", "params"), [("sharpen", {}), ("hair", {"colour": "red"})], ids=["step", "param"]
    )
    def test_what_this_version_lacks_is_refused_by_name(self, name: str, params: dict) -> None:
        with pytest.raises(preprocessing.UnknownStepError, match=r"sharpen|colour"):
            preprocessing.apply(drawing.skin(), [(name, params)])

    @pytest.mark.parametrize(
        "pixels",
        [
            np.zeros((10, 10), np.uint8),
            np.zeros((10, 10, 3), np.float32),
            np.zeros((0, 5, 3), "u1"),
        ],
    )
    def test_what_is_no_rgb_photo_is_refused(self, pixels: np.ndarray) -> None:
        with pytest.raises(InvalidPixelsError, match="uint8 RGB"):
            preprocessing.apply(pixels, [])

    def test_a_mask_of_another_photo_is_refused(self) -> None:
        with pytest.raises(InvalidPixelsError, match="bool mask"):
            preprocessing.apply(drawing.skin(), [], np.zeros((3, 3), np.bool_))
