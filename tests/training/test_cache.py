from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference_worker import preprocessing
from training import cache, drawn, readers
from training.readers import Record


@pytest.fixture
def data(tmp_path: Path) -> Path:
    drawn.write(tmp_path / "data")
    return tmp_path / "data"


def test_threads_decode_what_one_decodes(data: Path, tmp_path: Path) -> None:
    records = readers.read(data, "ham10000")
    how = {"data": data, "size": 32, "steps": [("hair", {})]}

    alone = cache.photos(records, cache=tmp_path / "1", workers=1, **how)  # type: ignore[arg-type]
    together = cache.photos(records, cache=tmp_path / "4", workers=4, **how)  # type: ignore[arg-type]
    masks = [
        cache.masks(records, data=data, cache=tmp_path / str(n), size=32, workers=n) for n in (1, 4)
    ]

    assert np.array_equal(alone, together)
    assert np.array_equal(*masks)
    photo = readers.Source(data, "ham10000").pixels(records[5].path)
    cleaned = preprocessing.apply(photo, [("hair", {})])
    assert np.array_equal(alone[5], preprocessing.to_square(cleaned, 32))


def test_what_is_decoded_lies_in_a_file_and_not_in_memory(data: Path, tmp_path: Path) -> None:
    records = readers.read(data, "ham10000")
    how = {"data": data, "cache": tmp_path, "size": 32, "steps": ()}

    for found in (cache.photos(records, **how), cache.photos(records, **{**how, "via": 40})):  # type: ignore[arg-type]
        assert isinstance(found, np.memmap)
        assert len(found) == len(records)
        assert found.any(axis=(1, 2, 3)).all()


def test_each_photo_has_the_shape_that_it_had_before_it_was_squashed(
    data: Path, tmp_path: Path
) -> None:
    sizes = {"square": (64, 64), "landscape": (80, 60), "portrait": (60, 80), "wide": (120, 40)}
    records = []
    for name, size in sizes.items():
        path = data / f"own/nv/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn.lesion(1, size)[0]).save(path)
        records.append(Record(name, name, "own", f"nv/{name}.png"))
    records.append(Record("packed", "packed", "own", "nv/square.png", aspect=4 / 3))
    how = {"data": data, "cache": tmp_path, "size": 32, "steps": ()}

    first = cache.decoded(records, **how).aspect  # type: ignore[arg-type]
    again = cache.decoded(records, **how).aspect  # type: ignore[arg-type]

    assert first.tolist() == pytest.approx([1, 4 / 3, 3 / 4, 4 / 3, 4 / 3], abs=0.01)
    assert again.tolist() == first.tolist()


def test_a_photo_that_cannot_be_read_leaves_no_half_array_behind(
    data: Path, tmp_path: Path
) -> None:
    records = readers.read(data, "ham10000")
    (data / "ham10000" / records[7].path).unlink()

    with pytest.raises(readers.DataError, match="no file"):
        cache.photos(records, data=data, cache=tmp_path / "c", size=32, steps=(), workers=3)

    assert list((tmp_path / "c").iterdir()) == []
