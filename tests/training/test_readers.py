from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from training import drawn, duplicates, readers, splits


@pytest.fixture
def data(tmp_path: Path) -> Path:
    drawn.write(tmp_path)
    return tmp_path


def test_isic_2019_knows_lesions_and_eight_diagnoses(data: Path) -> None:
    found = readers.read(data, "isic2019")

    assert {r.dx for r in found} == set(readers.ISIC2019_CLASSES.values())
    assert found[0].lesion_id.startswith("BCN_")
    assert (found[0].age, found[0].sex, found[0].site) == (55.0, "female", "anterior torso")
    carcinomas = [r for r in found if r.dx == "akiec"]
    assert len(carcinomas) == 12  # actinic keratosis and squamous cell carcinoma
    assert [r.dx == "mel" for r in found] == [r.melanoma for r in found]


def test_isic_2019_leaves_out_what_has_no_diagnosis(data: Path) -> None:
    table = data / "isic2019/ISIC_2019_Training_GroundTruth.csv"
    lines = table.read_text().splitlines()
    name = lines[1].split(",")[0]
    lines[1] = ",".join([name, *["0.0"] * 8, "1.0"])
    table.write_text("\n".join(lines) + "\n")

    assert name not in {r.image_id for r in readers.read(data, "isic2019")}


def test_isic_2020_knows_melanoma_and_groups_by_patient(data: Path) -> None:
    found = readers.read(data, "isic2020")

    assert [r.melanoma for r in found[:2]] == [False, True]
    assert found[0].lesion_id == found[1].lesion_id != found[2].lesion_id
    assert {r.dx for r in found} == {None}


@pytest.mark.parametrize("zipped", [False, True])
def test_a_plain_folder_names_its_classes(tmp_path: Path, zipped: bool) -> None:
    drawn.write(tmp_path / "all")
    for dx, number in (("benign", 0), ("malignant", 7)):
        target = tmp_path / "own" / dx
        target.mkdir(parents=True)
        photo = tmp_path / f"all/ham10000/images/ISIC_{number:07d}.jpg"
        (target / "a.jpg").write_bytes(photo.read_bytes())
    (tmp_path / "own/benign/notes.txt").write_text("no photo")
    if zipped:
        with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
            for path in (tmp_path / "own").glob("*/*"):
                archive.write(path, path.relative_to(tmp_path / "own"))
        (tmp_path / "own").rename(tmp_path / "elsewhere")

    found = readers.read(tmp_path, "folder:own")

    assert [(r.image_id, r.dx) for r in found] == [
        ("benign/a", "benign"),
        ("malignant/a", "malignant"),
    ]
    assert readers.Source(tmp_path, "own").pixels(found[0].path).shape == (60, 80, 3)


def test_a_data_set_without_a_reader_is_named(tmp_path: Path) -> None:
    with pytest.raises(readers.DataError, match=r"folder:NAME"):
        readers.read(tmp_path, "isic1999")


def test_a_photo_that_was_saved_again_counts_as_the_same_lesion(data: Path) -> None:
    images = data / "ham10000/images"
    (images / "ISIC_0000009.jpg").write_bytes((images / "ISIC_0000002.jpg").read_bytes())
    before = readers.read(data, "ham10000")

    after = duplicates.merge(before, data, 0)

    assert after[9].lesion_id == after[2].lesion_id == before[2].lesion_id
    assert [a.image_id for a in after] == [b.image_id for b in before]


def test_close_pairs_are_those_within_the_distance() -> None:
    rows = np.zeros((4, 8), np.uint8)
    rows[1, 0] = 0b1
    rows[2, 0] = 0b111
    rows[3] = 255

    assert duplicates.close_pairs(rows, 1).tolist() == [[0, 1]]
    assert duplicates.close_pairs(rows, 2).tolist() == [[0, 1], [1, 2]]


def test_an_image_random_split_lets_a_lesion_stand_on_two_sides() -> None:
    records = [readers.Record(f"i{n}", f"l{n // 2}", "", "", dx="nv") for n in range(200)]
    how = {"test_share": 0.3, "folds": 3, "seed": 1}

    def torn(split: splits.Split) -> int:
        return sum(a != b for a, b in zip(split.fold[::2], split.fold[1::2], strict=True))

    assert torn(splits.by_lesion(records, **how)) == 0  # type: ignore[arg-type]
    assert torn(splits.by_image(records, **how)) > 50  # type: ignore[arg-type]
