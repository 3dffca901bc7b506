from __future__ import annotations

import pytest

from inference_worker.verdict import CLASSES
from training import labels
from training.readers import DataError, Record

SEVEN = {dx: (dx,) for dx in CLASSES}


def record(dx: str | None, *, melanoma: bool | None = None) -> Record:
    return Record("i", "l", "drawn", "", dx=dx, melanoma=melanoma)


def test_without_targets_each_class_is_its_own_output() -> None:
    found = labels.labels(CLASSES, "softmax", {}, SEVEN)

    assert found.of([record("mel"), record("nv")]).tolist() == [4, 5]
    assert found.class_map.malignant == (0, 1, 4)


def test_a_sigmoid_has_its_negatives_in_front() -> None:
    found = labels.labels(
        ["malignant"],
        "sigmoid",
        {"malignant": ("mel", "bcc", "akiec")},
        {"malignant": ["malignant"]},
    )

    assert found.columns == ("not malignant", "malignant")
    assert found.of([record("nv"), record("bcc"), record("benign")]).tolist() == [0, 1, 0]


def test_four_categories_are_told_as_melanoma_and_malignant() -> None:
    found = labels.labels(
        ["benign", "suspicious", "malignant", "melanoma"],
        "softmax",
        {
            "benign": ("bkl", "df", "nv", "vasc"),
            "suspicious": ("akiec",),
            "malignant": ("bcc",),
            "melanoma": ("mel",),
        },
        {"malignant": ["suspicious", "malignant", "melanoma"], "melanoma": ["melanoma"]},
    )

    assert found.class_map.malignant == (1, 2, 3)
    assert found.class_map.melanoma == (3,)
    assert found.allowed(record(None, melanoma=True)).tolist() == [False, False, False, True]
    assert found.allowed(record(None, melanoma=False)).tolist() == [True, True, True, False]


def test_a_diagnosis_that_the_recipe_does_not_know_is_named() -> None:
    found = labels.labels(CLASSES, "softmax", {}, SEVEN)

    with pytest.raises(DataError, match="'wart'"):
        found.of([record("wart")])


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"benign": ("nv",), "malignant": ("mel", "nv")}, "more than once"),
        ({"benign": ("mel",), "malignant": ("nv",)}, "wrong side"),
        ({"benign": ("nv",)}, "each once"),
    ],
)
def test_targets_that_contradict_are_refused(
    targets: dict[str, tuple[str, ...]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        labels.labels(["benign", "malignant"], "softmax", targets, {"malignant": ["malignant"]})
