"""`manage.py classify`: files in, one CSV out."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from PIL import Image
from pytest_django import Settings

from inference_worker import pipeline
from inference_worker.engine_options import Options
from tests.inference_worker import drawing, tiny

HEADER = (
    "image,status,category,decided,confidence,p_melanoma,p_malignant,akiec,bcc,bkl,df,mel,nv,vasc,"
    "benign,suspicious,malignant,melanoma,quality"
)
CATEGORIES = ("benign", "suspicious", "malignant", "melanoma")
CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
NUMBERS = HEADER.split(",")[2:-1]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("bundle"), members=2)


def save(path: Path, pixels: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    photo = drawing.with_hairs(drawing.lesion(300, 225)) if pixels is None else pixels
    Image.fromarray(photo).save(path)
    return path


def classify(bundle: Path, *paths: Path, out: Path, **options: object) -> list[dict[str, str]]:
    call_command("classify", *map(str, paths), csv=out, bundle=bundle, **options)
    lines = out.read_text("utf-8").splitlines()
    assert lines[0] == HEADER
    return list(csv.DictReader(lines))


def test_a_photo_becomes_a_row_of_exactly_these_columns(bundle: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    (row,) = classify(bundle, path, out=tmp_path / "out.csv")
    told = pipeline.current(bundle).run(np.asarray(Image.open(path))).classification
    assert row["image"] == str(path)
    assert row["status"] == "COMPLETED"
    assert row["category"] == told.category.value
    assert row["decided"] == str(told.decided)
    assert float(row["p_malignant"]) == pytest.approx(told.p_malignant, abs=1e-6)
    assert [float(row[name]) for name in CLASSES] == pytest.approx(
        [told.probabilities[name] for name in CLASSES], abs=1e-6
    )


def test_the_four_categories_are_the_shares_of_the_votes(bundle: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    (row,) = classify(bundle, path, out=tmp_path / "out.csv")
    votes = pipeline.current(bundle).run(np.asarray(Image.open(path))).classification.votes
    shares = [float(row[name]) for name in CATEGORIES]
    assert sum(shares) == pytest.approx(1)
    assert shares == pytest.approx([getattr(votes, name) / 18 for name in CATEGORIES])


def test_a_refused_photo_keeps_its_numbers(bundle: Path, tmp_path: Path) -> None:
    small = save(tmp_path / "small.png", drawing.with_hairs(drawing.lesion(80, 60)))
    dark = save(tmp_path / "dark.png", (drawing.lesion(300, 225) * 0.1).astype(np.uint8))
    rows = classify(bundle, small, dark, out=tmp_path / "out.csv")
    assert [row["status"] for row in rows] == ["REJECTED", "REJECTED"]
    assert [row["quality"].split()[0] for row in rows] == ["too_small", "too_dark"]
    for row in rows:
        assert sum(float(row[name]) for name in CATEGORIES) == pytest.approx(1)
        assert sum(float(row[name]) for name in CLASSES) == pytest.approx(1)


def test_a_bad_file_is_a_row_with_its_error_and_ends_nothing(bundle: Path, tmp_path: Path) -> None:
    good = save(tmp_path / "good.png")
    text = tmp_path / "text.jpg"
    text.write_text("this is no photo")
    cut = tmp_path / "cut.png"
    cut.write_bytes(good.read_bytes()[:2000])
    empty = tmp_path / "empty.png"
    empty.touch()
    missing = tmp_path / "missing.png"
    rows = classify(bundle, text, cut, empty, missing, good, out=tmp_path / "out.csv")
    assert [row["status"] for row in rows] == ["FAILED"] * 4 + ["COMPLETED"]
    codes = [row["quality"] for row in rows[:4]]
    assert codes == ["not_an_image", "truncated", "not_an_image", "unreadable"]
    assert all(row[name] == "" for row in rows[:4] for name in NUMBERS)


def test_a_failing_model_is_a_row_too(bundle: Path, tmp_path: Path, settings: Settings) -> None:
    settings.INFERENCE_OPTIONS = Options(engine="torch")  # it runs the very weights that break
    broken = tiny.write(tmp_path / "broken", members=1)
    model = pipeline.current(broken, settings.INFERENCE_OPTIONS)
    weights = model._engines.ladder[0].members[0].classifier.head[-1].weight
    weights[0, 0] = float("nan")
    (row,) = classify(broken, save(tmp_path / "a.png"), out=tmp_path / "out.csv")
    assert (row["status"], row["quality"]) == ("FAILED", "model_nonfinite")
    assert row["category"] == ""


def test_a_folder_gives_the_photos_in_it_and_below_it(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    expected = [save(folder / name) for name in ("a.JPG", "b.png", "deep/c.webp")]
    (folder / "notes.txt").write_text("not a photo, and no error either")
    rows = classify(bundle, folder, out=tmp_path / "out.csv")
    assert [row["image"] for row in rows] == [str(path) for path in expected]
    assert {row["status"] for row in rows} == {"COMPLETED"}


@pytest.mark.parametrize("name", ["=1+1.png", "+a.png", "-a.png", "@a.png", "a,b\n.png"])
def test_no_file_name_becomes_a_formula_or_breaks_the_table(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save(Path(name))
    out = tmp_path / "out.csv"
    call_command("classify", "--csv", str(out), "--bundle", str(bundle), "--", name)
    with out.open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["image"] == (name if name.startswith("a") else f"'{name}")
    assert row["status"] == "COMPLETED"


def test_a_file_name_that_is_no_text_ends_nothing(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    save(folder / "b.png")
    (folder / "b.png").rename(os.fsdecode(os.fsencode(folder) + b"/\xff.png"))
    (row,) = classify(bundle, folder, out=tmp_path / "out.csv")
    assert row["status"] == "COMPLETED"


def test_classes_that_the_bundle_lacks_are_empty(tmp_path: Path) -> None:
    lacking = tiny.write(
        tmp_path / "bundle",
        members=1,
        outputs=("malignant",),
        activation="sigmoid",
        class_map={"malignant": ("malignant",)},
    )
    (row,) = classify(lacking, save(tmp_path / "a.png"), out=tmp_path / "out.csv")
    assert row["p_melanoma"] == ""
    assert [row[name] for name in CLASSES] == [""] * 7
    assert 0 <= float(row["p_malignant"]) <= 1


def test_heat_maps_are_transparent_pictures_without_the_photo(bundle: Path, tmp_path: Path) -> None:
    first = save(tmp_path / "x" / "a.png")
    second = save(tmp_path / "y" / "a.png", drawing.lesion(225, 300))
    heatmaps = tmp_path / "heat"
    classify(bundle, first, second, out=tmp_path / "out.csv", heatmaps=heatmaps)
    assert sorted(path.name for path in heatmaps.iterdir()) == ["a-2.png", "a.png"]
    with Image.open(heatmaps / "a.png") as wide, Image.open(heatmaps / "a-2.png") as tall:
        assert wide.mode == tall.mode == "RGBA"
        assert wide.size == (512, 384)
        assert tall.size == (384, 512)
        assert wide.getchannel("A").getextrema()[0] < 40


def test_progress_is_shown(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classify(bundle, save(tmp_path / "a.png"), out=tmp_path / "out.csv")
    shown = capsys.readouterr()
    assert "1/1" in shown.err
    assert "1 files (1 COMPLETED)" in shown.out


@pytest.mark.parametrize("file", ["bundle.json", "member-0.safetensors"])
def test_a_bundle_that_cannot_be_used_ends_the_command_before_any_row(
    tmp_path: Path, file: str
) -> None:
    folder = tiny.write(tmp_path / "bundle", members=1)
    (folder / file).unlink()
    with pytest.raises(CommandError, match=file):
        classify(folder, save(tmp_path / "a.png"), out=tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
