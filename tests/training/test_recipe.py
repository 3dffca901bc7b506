from __future__ import annotations

from pathlib import Path

import pytest

from tests.training import drawn
from training import dataset, recipe, splits
from training.readers import Record


def load(folder: Path, text: str) -> recipe.Recipe:
    path = folder / "one.yaml"
    path.write_text(text)
    return recipe.load(str(path))[0]


def test_every_recipe_that_ships_is_valid() -> None:
    names = [path.stem for path in recipe.FOLDER.glob("*.yaml")]

    assert "starter" in names
    assert all(recipe.load(name)[0].name == name for name in names)


def test_the_starter_recipe_trains_five_members_with_nine_views() -> None:
    starter = recipe.load("starter")[0]

    assert starter.seeds == (42, 123, 456, 789, 2025)
    assert len(starter.views) == 9
    assert starter.segmenter is not None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: drawn", "naem: drawn", "unknown keys"),
        ("seeds: [1, 2]", "seeds: [1, 2, 3]", "3 seeds need as many folds"),
        ("seeds: [1, 2]", "seeds: one", "seeds"),
        ("{step: hair}", "{step: eyebrows}", "eyebrows"),
        ("{step: hair}", "{step: hair, params: {colour: 1}}", "colour"),
        ("rot180]", "rot45]", "rot45"),
        ("crop_share: 0.2", "crop_share: 0.9", "no labelled photos"),
        ("unseen: isic2020", "unseen: isic2017", "'isic2017' is trained on"),
        ("storage: int8", "storage: int4", "int4"),
        ("mel: [mel]", "mel: [melanoma]", "class_map"),
        ("activation: softmax", "activation: relu", "relu"),
        ("mixup: 0.4", "mixup: -0.4", "an alpha above 0"),
        ("  schedule: {", "  schedule: {augmentation: {cutmix: 1.0}, ", "masks are not mixed"),
        (
            "images: 16}]}\nsegmenter",
            "restart: true, blend: 0.5}], optimiser: {monitor: malignant_auc}}\nsegmenter",
            "no 'monitor' has seen",
        ),
        ("name: drawn", "name: [", "while parsing"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_by_name(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in drawn.RECIPE

    with pytest.raises(recipe.RecipeError, match=message):
        load(tmp_path, drawn.RECIPE.replace(old, new, 1))


def test_an_unknown_recipe_names_those_there_are() -> None:
    with pytest.raises(recipe.RecipeError, match="starter"):
        recipe.load("nothing")


def test_smoke_size_keeps_every_stage_but_two_steps_of_it() -> None:
    starter = recipe.load("starter")[0]

    small = recipe.smoke(starter)

    assert len(small.schedule.stages) == len(starter.schedule.stages)
    assert small.segmenter is not None
    for schedule in (small.schedule, small.segmenter.schedule):
        assert {s.epochs * s.images for s in schedule.stages} == {2 * schedule.optimiser.batch}
        assert {s.size for s in schedule.stages} == {64}
    assert len(small.seeds) == 2


@pytest.mark.parametrize("name", recipe.names())
def test_smoke_size_reads_32_labelled_photos_and_watches_both_kinds(
    name: str, tmp_path: Path
) -> None:
    drawn.write(tmp_path)
    small = recipe.smoke(recipe.load(name)[0])

    own = dataset.labelled(small, tmp_path, smoke=True)

    assert len(own.records) <= 32
    tested = own.labels[own.split.test]
    malignant = set(small.labels.class_map.malignant)
    assert 0 < sum(label in malignant for label in tested) < len(tested)
    for fold in range(len(small.seeds)):
        watched = own.labels[dataset.parts(small, own, fold).watched]
        assert 0 < sum(label in malignant for label in watched) < len(watched)


def test_resnet50_is_trained_on_70_validated_on_15_and_tested_on_15_in_a_hundred() -> None:
    resnet50 = recipe.load("resnet50")[0]
    records = [
        Record(f"photo-{i}", f"lesion-{i}", "ham10000", "", dx=dx)
        for i, dx in enumerate(["nv"] * 700 + ["mel"] * 200 + ["df"] * 100)
    ]
    how = resnet50.split
    split = splits.by_lesion(records, test_share=how.test_share, folds=how.folds, seed=how.seed)
    own = dataset.Labelled(records, resnet50.labels.of(records), split)

    parts = dataset.parts(resnet50, own, 0)

    share = len(records) / 100
    assert len(parts.train) / share == pytest.approx(70, abs=1)
    assert len(parts.watched + split.of(0)) / share == pytest.approx(15, abs=1)
    assert min(len(parts.watched), len(split.of(0))) / share > 6
    assert len(split.test) / share == pytest.approx(15, abs=0.5)
    assert not {*parts.train} & {*parts.watched, *split.of(0), *split.test}


VARIANT = """variants:
  - {members: [1], classifier: {name: mobilenetv2_100}, lr: 0.5}
"""


def test_some_members_may_have_a_network_of_their_own(tmp_path: Path) -> None:
    mixed = load(tmp_path, drawn.RECIPE + VARIANT)

    assert mixed.network(0) == recipe.Network(mixed.classifier, mixed.init)
    assert mixed.network(1).classifier.name == "mobilenetv2_100"
    assert (mixed.network(1).init, mixed.network(1).lr) == (None, 0.5)
    assert recipe.smoke(mixed).network(1) == mixed.network(1)


@pytest.mark.parametrize("members", ["[2]", "[1, 1]"])
def test_a_variant_of_a_member_that_is_not_there_once_is_refused(
    tmp_path: Path, members: str
) -> None:
    with pytest.raises(recipe.RecipeError, match="variants name members"):
        load(tmp_path, drawn.RECIPE + VARIANT.replace("[1]", members))
