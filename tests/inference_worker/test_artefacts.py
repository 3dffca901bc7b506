from __future__ import annotations

import cv2
import numpy as np
import pytest

from inference_worker import preprocessing
from inference_worker.architectures import ArchitectureError, ClassifierSpec, build_classifier
from inference_worker.pixels import Mask, Pixels


def skin(seed: int = 0) -> tuple[Pixels, Mask]:
    """Return a photo of a brown lesion on uneven skin, and the lesion's mask."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:300, :400]
    mask = np.hypot(x - 200, y - 150) < 60
    photo = np.where(mask[..., None], (110, 70, 50), (215, 165, 145))
    return np.clip(photo + rng.normal(0, 7, (300, 400, 3)), 0, 255).astype(np.uint8), mask


@pytest.mark.parametrize("colour", [(60, 40, 190), (20, 130, 70), (120, 30, 160)])
def test_strokes_of_a_marker_are_filled(colour: tuple[int, int, int]) -> None:
    clean, _ = skin()
    inked = clean.copy()
    cv2.line(inked, (20, 40), (120, 30), colour, 6)

    found = preprocessing.apply(inked, [("ink", {})])

    assert np.abs(inked.astype(int) - clean)[30:45, 30:110].mean() > 10
    assert np.abs(found.astype(int) - clean)[30:45, 30:110].mean() < 8
    assert (found[100:] == inked[100:]).all()


def test_skin_and_lesion_are_no_ink_and_no_plaster() -> None:
    photo, _ = skin()

    assert (preprocessing.apply(photo, [("ink", {}), ("plasters", {})]) == photo).all()


def test_ink_on_a_known_lesion_stays() -> None:
    photo, mask = skin()
    cv2.line(photo, (170, 150), (230, 150), (60, 40, 190), 6)

    assert (preprocessing.apply(photo, [("ink", {})], mask) == photo).all()
    assert (preprocessing.apply(photo, [("ink", {})]) != photo).any()


def test_a_plaster_at_the_edge_is_filled() -> None:
    clean, _ = skin()
    stuck = clean.copy()
    stuck[200:, :90] = (238, 205, 160)

    found = preprocessing.apply(stuck, [("plasters", {})])

    assert np.abs(found[220:, :70].astype(int) - (238, 205, 160)).mean() > 15
    assert (found[:150, 150:] == stuck[:150, 150:]).all()


def test_flat_skin_all_over_the_frame_is_no_plaster() -> None:
    plain = np.full((300, 400, 3), (235, 195, 165), np.uint8)

    assert (preprocessing.apply(plain, [("plasters", {})]) == plain).all()


def test_a_stack_is_laid_out_as_it_is_written() -> None:
    layers = ("batch_norm", "dropout 0.5", "linear 512", "relu")
    spec = ClassifierSpec("mobilenetv2_050", "stack", dropout=0.3, layers=layers)

    head = build_classifier(spec, 1).head

    names = [type(module).__name__ for module in head]  # type: ignore[attr-defined]
    assert names == ["BatchNorm1d", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert head[-1].in_features == 512  # type: ignore[index]


@pytest.mark.parametrize(
    ("head", "layers", "message"),
    [
        ("stack", ("linear wide",), "linear wide"),
        ("stack", ("tanh",), "unknown layer"),
        ("stack", (), "'layers' goes with"),
        ("linear", ("relu",), "'layers' goes with"),
    ],
)
def test_a_stack_that_cannot_be_built_is_named(
    head: str, layers: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ArchitectureError, match=message):
        build_classifier(ClassifierSpec("mobilenetv2_050", head, layers=layers), 1)
