"""From a map of probabilities to one lesion, its outline and its measurements."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inference_worker import measurements, segmentation
from tests.inference_worker import drawing

SIDE = 192


def blank() -> np.ndarray:
    return np.zeros((SIDE, SIDE), np.float32)


def disc(x: int, y: int, radius: int) -> np.ndarray:
    return cv2.circle(blank(), (x, y), radius, 1.0, -1)


def find(probabilities: np.ndarray, width: int = 600, height: int = 450) -> segmentation.Lesion:
    canvas = segmentation.canvas_of(width, height)
    lesion = segmentation.find_lesion(probabilities, canvas, threshold=0.5, min_share=0.005)
    assert lesion is not None
    return lesion


def rasterise(outline: tuple[tuple[float, float], ...], width: int, height: int) -> np.ndarray:
    points = np.round(np.array(outline) * [width, height]).astype(np.int32)
    return cv2.fillPoly(np.zeros((height, width), np.uint8), [points], 1) > 0


class TestFindLesion:
    def test_the_largest_region_wins(self) -> None:
        lesion = find(np.maximum(disc(60, 96, 40), disc(160, 40, 12)))
        assert lesion.share == pytest.approx(np.pi * 40**2 / SIDE**2, rel=0.02)
        assert max(x for x, _ in lesion.outline) < 0.6

    def test_holes_are_filled(self) -> None:
        ring = disc(96, 96, 50) - disc(96, 96, 20)
        assert find(ring).share == pytest.approx(np.pi * 50**2 / SIDE**2, rel=0.02)

    def test_a_bay_that_reaches_the_edge_is_no_hole(self) -> None:
        mask = np.zeros((20, 20), np.bool_)
        mask[:, 5:15] = True
        mask[0:10, 8:12] = False
        assert np.array_equal(segmentation.fill_holes(mask), mask)

    @pytest.mark.parametrize("level", [0.0, 0.49])
    def test_no_region_at_the_threshold_is_no_lesion(self, level: float) -> None:
        canvas = segmentation.canvas_of(600, 450)
        probabilities = np.full((SIDE, SIDE), level, np.float32)
        found = segmentation.find_lesion(probabilities, canvas, threshold=0.5, min_share=0.005)
        assert found is None

    def test_a_speck_below_the_least_share_is_no_lesion(self) -> None:
        canvas = segmentation.canvas_of(600, 450)
        speck = disc(96, 96, 4)
        assert segmentation.find_lesion(speck, canvas, threshold=0.5, min_share=0.005) is None
        assert segmentation.find_lesion(speck, canvas, threshold=0.5, min_share=0.0005) is not None

    def test_the_outline_has_at_most_64_points_and_covers_the_mask(self) -> None:
        rng = np.random.default_rng(3)
        rough = cv2.GaussianBlur(rng.random((SIDE, SIDE)).astype(np.float32), (0, 0), 3)
        ragged = ((rough > 0.5) & (disc(96, 96, 70) > 0)).astype(np.float32)
        lesion = find(np.maximum(ragged, disc(96, 96, 55)))
        drawn = rasterise(lesion.outline, 600, 450)
        truth = lesion.mask_of_photo(600, 450)
        assert 3 <= len(lesion.outline) <= 64
        assert (drawn & truth).sum() / (drawn | truth).sum() > 0.95

    def test_the_outline_lies_on_the_lesion_of_a_wide_photo(self) -> None:
        # 1600 × 900 is cut to its middle 1200 × 900: the square's middle is the photo's middle.
        lesion = find(disc(48, 96, 30), 1600, 900)
        middle = np.mean([(min(c), max(c)) for c in zip(*lesion.outline, strict=True)], axis=1)
        assert middle[0] == pytest.approx(0.125 + 0.75 * 48.5 / SIDE, abs=0.01)
        assert middle[1] == pytest.approx(96.5 / SIDE, abs=0.01)

    def test_the_share_is_that_of_the_whole_photo(self) -> None:
        everything = np.ones((SIDE, SIDE), np.float32)
        assert find(everything, 600, 450).share == pytest.approx(1.0)
        assert find(everything, 1600, 900).share == pytest.approx(0.75)
        assert find(everything, 1600, 900).mask_of_photo(1600, 900).mean() == pytest.approx(0.75)

    def test_every_point_of_an_outline_lies_on_the_photo(self) -> None:
        outline = find(np.ones((SIDE, SIDE), np.float32)).outline
        assert all(0 <= share <= 1 for point in outline for share in point)


class TestMeasurements:
    def measure(self, mask: np.ndarray, pixels: np.ndarray | None = None) -> object:
        probabilities = cv2.resize(mask.astype(np.float32), (SIDE, SIDE))
        lesion = find(probabilities, mask.shape[1], mask.shape[0])
        canvas = (lesion.canvas.width, lesion.canvas.height)
        photo = drawing.lesion() if pixels is None else pixels
        return measurements.measure(lesion, cv2.resize(photo, canvas))

    def shape(self, *points: tuple[int, int]) -> np.ndarray:
        return cv2.fillPoly(np.zeros((450, 600), np.uint8), [np.array(points, np.int32)], 1)

    def test_a_circle_is_symmetric_and_smooth(self) -> None:
        measured = self.measure(cv2.circle(np.zeros((450, 600), np.uint8), (300, 225), 120, 1, -1))
        assert measured.asymmetry < 0.02
        assert measured.border == pytest.approx(1.0, abs=0.03)
        assert measured.diameter_px == pytest.approx(240, rel=0.02)
        assert measured.area_share == pytest.approx(np.pi * 120**2 / (600 * 450), rel=0.02)

    def test_a_tilted_ellipse_is_symmetric_about_its_own_axes(self) -> None:
        canvas = np.zeros((450, 600), np.uint8)
        measured = self.measure(cv2.ellipse(canvas, (290, 230), (160, 70), 31, 0, 360, 1, -1))
        assert measured.asymmetry < 0.03
        assert measured.diameter_px == pytest.approx(320, rel=0.02)

    def test_a_comma_is_asymmetric(self) -> None:
        comma = self.shape((100, 80), (420, 90), (430, 130), (180, 140), (160, 380), (110, 370))
        assert self.measure(comma).asymmetry > 0.25

    @pytest.mark.parametrize(("base", "height"), [(120, 360), (360, 180)], ids=["tall", "flat"])
    def test_a_triangle_is_asymmetric_about_one_of_its_axes(self, base: int, height: int) -> None:
        left, right = (300 - base // 2, 420), (300 + base // 2, 420)
        triangle = self.shape((300, 420 - height), right, left)
        assert 0.05 < self.measure(triangle).asymmetry < 0.25

    def test_a_star_has_an_irregular_border(self) -> None:
        angles = np.linspace(0, 2 * np.pi, 25)[:-1]
        radii = np.where(np.arange(24) % 2, 180, 90)
        star = np.stack([300 + radii * np.cos(angles), 225 + radii * np.sin(angles)], axis=1)
        assert self.measure(self.shape(*star.round().astype(int))).border > 2.5

    def test_the_diameter_is_in_pixels_of_the_photo(self) -> None:
        probabilities = disc(96, 96, 48)
        photo = drawing.skin(384, 384)
        small, large = find(probabilities, 384, 384), find(probabilities, 3840, 3840)
        ratio = (
            measurements.measure(large, photo).diameter_px
            / measurements.measure(small, photo).diameter_px
        )
        assert ratio == pytest.approx(10, rel=0.001)
        assert measurements.measure(small, photo).diameter_px == pytest.approx(192, rel=0.03)

    @pytest.mark.parametrize(
        "names",
        [("black",), ("dark_brown", "light_brown"), tuple(measurements.COLOURS)],
        ids=lambda names: str(len(names)),
    )
    def test_each_dermoscopic_colour_counts_once(self, names: tuple[str, ...]) -> None:
        bands = np.array_split(np.arange(100), len(names))
        pixels = np.zeros((60, 100, 3), np.uint8)
        for name, columns in zip(names, bands, strict=True):
            pixels[:, columns] = measurements.COLOURS[name]
        assert measurements.count_colours(pixels, np.ones((60, 100), np.bool_)) == len(names)

    def test_a_trace_of_a_colour_does_not_count(self) -> None:
        pixels = np.full((60, 100, 3), measurements.COLOURS["dark_brown"], np.uint8)
        pixels[:, :2] = measurements.COLOURS["black"]
        assert measurements.count_colours(pixels, np.ones((60, 100), np.bool_)) == 1

    def test_a_colour_outside_the_lesion_does_not_count(self) -> None:
        pixels = np.full((60, 100, 3), measurements.COLOURS["dark_brown"], np.uint8)
        pixels[:, 50:] = measurements.COLOURS["blue_grey"]
        mask = np.zeros((60, 100), np.bool_)
        mask[:, :50] = True
        assert measurements.count_colours(pixels, mask) == 1
