from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from PIL import Image

from training import drawn, readers, splits


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


def tabled(path: Path, rows: list[str], comma: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(row.replace(",", comma) for row in rows) + "\n")


def placed(path: Path, size: tuple[int, int] = (80, 60)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(drawn.lesion(1, size)[0]).save(path)


@pytest.mark.parametrize(
    ("table", "comma"),
    [("HAM10000_metadata.csv", ","), ("HAM10000_metadata", ","), ("HAM10000_metadata.tab", "\t")],
)
def test_ham10000_is_read_as_it_is_published(tmp_path: Path, table: str, comma: str) -> None:
    ham = tmp_path / "ham10000"
    rows = [
        "lesion_id,image_id,dx,dx_type,age,sex,localization",
        "HAM_0000118,ISIC_0027419,bkl,histo,80.0,male,scalp",
        "HAM_0000119,ISIC_0032258,mel,histo,,female,back",
    ]
    tabled(ham / table, rows, comma)
    placed(ham / "HAM10000_images_part_1/ISIC_0027419.jpg")
    placed(ham / "HAM10000_images_part_2/ISIC_0032258.jpg")
    placed(ham / "HAM10000_segmentations_lesion_tschandl/ISIC_0027419_segmentation.png")

    first, second = readers.read(tmp_path, "ham10000")

    assert (first.path, first.dx, first.age) == (
        "HAM10000_images_part_1/ISIC_0027419.jpg",
        "bkl",
        80.0,
    )
    assert first.mask_path is not None
    assert readers.Source(tmp_path, "ham10000").mask(first.mask_path).shape == (60, 80)
    assert (second.path, second.mask_path, second.age) == (
        "HAM10000_images_part_2/ISIC_0032258.jpg",
        None,
        None,
    )


def test_isic_2017_is_read_as_it_is_published_and_is_not_squashed_then(tmp_path: Path) -> None:
    folder = tmp_path / "isic2017"
    header = "image_id,melanoma,seborrheic_keratosis"
    table = folder / "ISIC-2017_Training_Part3_GroundTruth.csv"
    tabled(table, [header, "ISIC_0000000,1.0,0.0", "ISIC_0000001,0.0,1.0"])
    for name in ("ISIC_0000000", "ISIC_0000001"):
        placed(folder / f"ISIC-2017_Training_Data/{name}.jpg")
        placed(folder / f"ISIC-2017_Training_Data/{name}_superpixels.png")

    found = readers.read(tmp_path, "isic2017")

    assert [(r.image_id, r.melanoma, r.aspect) for r in found] == [
        ("ISIC_0000000", True, None),
        ("ISIC_0000001", False, None),
    ]
    assert found[0].path == "ISIC-2017_Training_Data/ISIC_0000000.jpg"
    drawn.write(tmp_path / "packed")
    assert {r.aspect for r in readers.read(tmp_path / "packed", "isic2017")} == {4 / 3}


def test_isic_2018_is_read_as_it_is_published(tmp_path: Path) -> None:
    folder = tmp_path / "isic2018_task1"
    placed(folder / "ISIC2018_Task1-2_Training_Input/ISIC_0000000.jpg")
    (folder / "ISIC2018_Task1-2_Training_Input/LICENSE.txt").write_text("CC-0")
    placed(folder / "ISIC2018_Task1_Training_GroundTruth/ISIC_0000000_segmentation.png")

    (only,) = readers.read(tmp_path, "isic2018_task1")

    assert only.path == "ISIC2018_Task1-2_Training_Input/ISIC_0000000.jpg"
    assert only.mask_path == "ISIC2018_Task1_Training_GroundTruth/ISIC_0000000_segmentation.png"


@pytest.mark.parametrize("name", ["ham10000", "isic2017", "isic2018_task1"])
def test_a_folder_that_is_laid_out_otherwise_is_refused(tmp_path: Path, name: str) -> None:
    placed(tmp_path / name / "elsewhere/ISIC_0000000.jpg")

    with pytest.raises(readers.DataError, match=r"docs/training\.md"):
        readers.read(tmp_path, name)


def test_a_table_that_names_a_photo_which_is_not_there_is_refused(data: Path) -> None:
    (data / "ham10000/images/ISIC_0000003.jpg").unlink()

    with pytest.raises(readers.DataError, match="no photo 'ISIC_0000003'"):
        readers.read(data, "ham10000")


def test_a_data_set_without_a_reader_is_named(tmp_path: Path) -> None:
    with pytest.raises(readers.DataError, match=r"folder:NAME"):
        readers.read(tmp_path, "isic1999")


def test_an_image_random_split_lets_a_lesion_stand_on_two_sides() -> None:
    records = [readers.Record(f"i{n}", f"l{n // 2}", "", "", dx="nv") for n in range(200)]
    how = {"test_share": 0.3, "folds": 3, "seed": 1}

    def torn(split: splits.Split) -> int:
        return sum(a != b for a, b in zip(split.fold[::2], split.fold[1::2], strict=True))

    assert torn(splits.by_lesion(records, **how)) == 0  # type: ignore[arg-type]
    assert torn(splits.by_image(records, **how)) > 50  # type: ignore[arg-type]
