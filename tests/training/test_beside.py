from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from inference_worker.manifest import Manifest
from tests.training.test_compare import described
from training import beside
from training.recipe import RecipeError


def made(by: str | None, auc: float) -> Manifest:
    training: dict[str, Any] = {"split": {"by": by} if by else {"seed": 1}}
    figure = {"value": auc, "ci": [auc - 0.01, auc + 0.01]}
    test = {"n_images": 10, "n_lesions": 9, "malignant_auc": figure, "confusion": []}
    return replace(described("one"), training=training, metrics={"test": test})


@pytest.mark.parametrize("own", ["lesion", None])
def test_the_flattering_figures_stand_beside_the_honest_ones(own: str | None) -> None:
    found = beside.put(made(own, 0.93), made("image", 0.98))

    assert found.metrics["test"]["malignant_auc"]["value"] == 0.93
    assert found.metrics[beside.KEY]["malignant_auc"]["value"] == 0.98
    assert "confusion" not in found.metrics[beside.KEY]


@pytest.mark.parametrize(("own", "other"), [("image", "image"), ("lesion", "lesion")])
def test_only_a_split_by_image_stands_beside_one_by_lesion(own: str, other: str) -> None:
    with pytest.raises(RecipeError, match="by: image"):
        beside.put(made(own, 0.9), made(other, 0.9))
