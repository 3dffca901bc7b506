from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import dataset, drawn, duplicates, readers, recipe
from training.readers import Record


@pytest.fixture
def data(tmp_path: Path) -> Path:
    drawn.write(tmp_path)
    return tmp_path


def copied(data: Path, photo: str, copy: str) -> None:
    """Save a photo again: as JPEG, at another quality."""
    (data / copy).parent.mkdir(parents=True, exist_ok=True)
    Image.open(data / photo).save(data / copy, quality=60)


def test_a_photo_that_was_saved_again_counts_as_the_same_lesion(data: Path) -> None:
    images = "ham10000/images"
    copied(data, f"{images}/ISIC_0000002.jpg", f"{images}/ISIC_0000009.jpg")
    before = readers.read(data, "ham10000")

    after = duplicates.merge(before, data, duplicates.DISTANCE)

    assert after[9].lesion_id == after[2].lesion_id == before[2].lesion_id
    assert [a.image_id for a in after] == [b.image_id for b in before]


def test_hashes_alone_make_no_lesion_of_photos_that_do_not_look_alike() -> None:
    """A flat photo's hash says nothing; two noisy ones are alike in nothing else."""
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 255, (3, 1024)).astype(np.uint8)
    gray[1] = np.clip(gray[0] * 0.8 + 20, 0, 255)

    found = duplicates.correlation(gray, np.array([[0, 1], [0, 2]]))

    assert found[0] > 0.99
    assert abs(found[1]) < 0.2
    assert duplicates.correlation(np.zeros((2, 1024), np.uint8), np.array([[0, 1]])) == [0.0]


@pytest.mark.parametrize("alike", [True, False])
def test_a_candidate_must_look_alike(
    data: Path, monkeypatch: pytest.MonkeyPatch, alike: bool
) -> None:
    records = readers.read(data, "ham10000")[:6]
    monkeypatch.setattr(duplicates, "ALIKE", -1.0 if alike else 0.9999)

    merged = {r.lesion_id for r in duplicates.merge(records, data, 64)}

    assert len(merged) == (1 if alike else 6)


def test_close_pairs_are_those_within_the_distance() -> None:
    rows = np.zeros((4, 8), np.uint8)
    rows[1, 0] = 0b1
    rows[2, 0] = 0b111
    rows[3] = 255

    assert duplicates.close_pairs(rows, 1).tolist() == [[0, 1]]
    assert duplicates.close_pairs(rows, 2).tolist() == [[0, 1], [1, 2]]


def test_equal_names_mean_one_lesion_in_the_archive_and_nothing_between_folders(
    data: Path,
) -> None:
    """ISIC 2019 holds the HAM10000 again, under the same names."""
    photos = [
        Record("a", "HAM_1", "ham10000", "images/ISIC_0000001.jpg"),
        Record("b", "HAM_1", "isic2019", "ISIC_2019_Training_Input/ISIC_3000009.jpg"),
        Record("a", "x", "isic2019", "ISIC_2019_Training_Input/ISIC_3000020.jpg"),
        Record("a", "HAM_1", "mine", "nv/a.jpg"),
    ]
    copied(data, "ham10000/images/ISIC_0000030.jpg", "mine/nv/a.jpg")

    found = duplicates.kin(photos, data, 0)

    assert len(set(found.lesion[:3])) == 1
    assert found.lesion[3] not in found.lesion[:3]
    assert found.photo[0] == found.photo[2] != found.photo[1]


def test_a_folder_is_searched_for_copies_without_being_asked_to(data: Path) -> None:
    for number in range(12):
        photo = f"ham10000/images/ISIC_{number:07d}.jpg"
        copied(data, photo, f"own/{'benign' if number % 2 else 'malignant'}/{number}.jpg")
    copied(data, "own/benign/1.jpg", "own/benign/again.jpg")
    made = recipe.load("mobilenetv2")[0]
    spec = recipe.DataSpec(labelled="folder:own")
    own = dataset.labelled(
        replace(
            made,
            data=spec,
            targets={"malignant": ("malignant", "akiec", "bcc", "mel")},
            split=recipe.SplitSpec(folds=2),
        ),
        data,
    )

    lesion = {r.image_id: r.lesion_id for r in own.records}
    assert lesion["benign/again"] == lesion["benign/1"]
    fold = dict(zip(lesion, own.split.fold, strict=True))
    assert fold["benign/again"] == fold["benign/1"]


@pytest.mark.data
def test_the_known_pairs_are_found_and_few_others_among_ham10000s_candidates() -> None:
    shared = Path(__file__).parents[3] / "shared/data"
    pairs = [name for pair in readers.SAME_LESION for name in pair]
    records = [r for r in readers.read(shared, "ham10000") if r.image_id in pairs]

    seen = duplicates.look(records, shared)

    at = {r.image_id: i for i, r in enumerate(records)}
    for first, second in readers.SAME_LESION:
        pair = np.array([[at[first], at[second]]])
        assert duplicates.correlation(seen.gray, pair)[0] >= duplicates.ALIKE
        close = duplicates.close_pairs(seen.hashes, duplicates.DISTANCE)
        assert sorted(pair[0]) in close.tolist()
    assert len(duplicates.close_pairs(seen.hashes, duplicates.DISTANCE)) == 2


@pytest.mark.data
def test_isic_2017s_copies_inside_and_across_its_parts_are_found() -> None:
    shared = Path(__file__).parents[3] / "shared/data"
    records = readers.read(shared, "isic2017")

    photo = duplicates.kin(records, shared, duplicates.DISTANCE, 2).photo

    names, count = np.unique(photo, return_counts=True)
    part = np.array([r.path.partition("/")[0] for r in records])
    across = [g for g in names[count > 1] if len(set(part[photo == g])) > 1]
    assert (int((count > 1).sum()), len(across)) == (14, 3)
