from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from inference_worker.manifest import Manifest
from tests.training.test_compare import described
from training import beside, card_figures
from training.recipe import RecipeError


def made(by: str | None, auc: float) -> Manifest:
    training: dict[str, Any] = {"split": {"by": by} if by else {"seed": 1}}
    figure = {"value": auc, "ci": [auc - 0.01, auc + 0.01]}
    test = {"n_images": 10, "n_lesions": 9, "malignant_auc": figure, "confusion": []}
    return replace(described("one"), training=training, metrics={"test": test})


@pytest.mark.parametrize("own", ["lesion", None])
def test_the_flattering_figures_stand_beside_the_honest_ones(own: str | None) -> None:
    found = beside.put(made(own, 0.93), made("image", 0.98))

    told = found.metrics[beside.KEY]
    assert told["by_lesion"]["malignant_auc"]["value"] == 0.93
    assert told["by_image"]["malignant_auc"]["value"] == 0.98
    assert "confusion" not in told["by_image"]


def test_one_member_split_by_image_stands_beside_one_member_split_by_lesion() -> None:
    own = made("lesion", 0.93)
    own.metrics["test"]["members"] = [{"malignant_auc": 0.91}, {"malignant_auc": 0.92}]
    two = replace(own, classifier=replace(own.classifier, members=own.classifier.members * 2))

    told = beside.put(two, made("image", 0.98)).metrics[beside.KEY]

    assert told["members"] == 1
    assert told["by_lesion"] == {"malignant_auc": {"value": 0.91}}


def test_a_members_own_intervals_are_kept_where_they_were_taken() -> None:
    own = made("lesion", 0.93)
    figure = {"value": 0.7, "ci": [0.6, 0.8]}
    own.metrics["test"]["members"] = [{"malignant_auc": 0.91, "balanced_accuracy": figure}]
    two = replace(own, classifier=replace(own.classifier, members=own.classifier.members * 2))

    told = beside.put(two, made("image", 0.98)).metrics[beside.KEY]

    assert told["by_lesion"]["balanced_accuracy"] == figure
    assert "balanced_accuracy" not in told["by_image"]


def test_an_earlier_versions_comparison_is_kept_whole_and_says_whose_it_is() -> None:
    earlier = replace(beside.put(made("lesion", 0.93), made("image", 0.98)), version="1.0.0")
    own = replace(made("lesion", 0.95), version="2.0.0")

    told = beside.carry(own, earlier).metrics[beside.KEY]

    assert told["version"] == "1.0.0"
    assert told["by_lesion"]["malignant_auc"]["value"] == 0.93
    said = card_figures.beside(told)
    assert "Measured with version 1.0.0, in both columns, and not anew" in said
    assert "Measured with" not in card_figures.beside(earlier.metrics[beside.KEY])


@pytest.mark.parametrize("change", [{"metrics": {}}, {"name": "two"}])
def test_what_compares_nothing_with_this_model_is_not_carried(change: dict[str, Any]) -> None:
    earlier = beside.put(made("lesion", 0.93), made("image", 0.98))

    with pytest.raises(RecipeError, match="--by-image"):
        beside.carry(made("lesion", 0.95), replace(earlier, **change))


def test_ensembles_of_other_sizes_do_not_stand_beside_each_other() -> None:
    one, other = made("lesion", 0.93), made("image", 0.98)
    one, other = (
        replace(m, classifier=replace(m.classifier, members=m.classifier.members * n))
        for m, n in ((one, 5), (other, 2))
    )

    with pytest.raises(RecipeError, match="as many, or one"):
        beside.put(one, other)


@pytest.mark.parametrize(("own", "other"), [("image", "image"), ("lesion", "lesion")])
def test_only_a_split_by_image_stands_beside_one_by_lesion(own: str, other: str) -> None:
    with pytest.raises(RecipeError, match="by: image"):
        beside.put(made(own, 0.9), made(other, 0.9))
