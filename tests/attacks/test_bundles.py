"""A bundle that was tampered with is refused whole, by name; no number is believed unseen."""

from __future__ import annotations

import json
import math
import pickle
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inference_worker import bundle
from inference_worker.verdict import Heatmap, InvalidVerdictError, Member
from tests.factories import make_verdict
from tests.inference_worker import tiny

EVIL_NAMES = (
    "../member-0.safetensors",
    "/etc/passwd",
    "..",
    ".",
    "",
    "sub/member-0.safetensors",
    "member-0.safetensors\x00",
    "..\\member-0.safetensors",
    "file:///etc/passwd",
    "http://evil.example/member-0.safetensors",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny.write(tmp_path / "bundle", members=1)


def zip_slip(path: Path) -> Path:
    """Write an archive whose members would land beside and above where it is unpacked."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../evil.py", "raise SystemExit")
        archive.writestr(str(path.parent / "evil.py"), "raise SystemExit")
        archive.writestr("bundle.json", "{}")
    return path


def rewrite(folder: Path, change: Callable[[dict], None]) -> None:
    path = folder / "bundle.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("at", [0, 9, 200, -1])
def test_one_changed_byte_of_a_weight_file_is_found(folder: Path, at: int) -> None:
    path = folder / "member-0.safetensors"
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(bundle.ChangedFileError, match="member-0"):
        bundle.load(folder)


def test_a_changed_manifest_is_another_bundle(folder: Path) -> None:
    _, before = bundle.load_manifest(folder)
    rewrite(folder, lambda content: content.update(licence="mine"))
    assert bundle.load_manifest(folder)[1] != before


@pytest.mark.parametrize("name", EVIL_NAMES)
def test_no_name_in_a_manifest_leads_out_of_its_folder(folder: Path, name: str) -> None:
    # The right weights lie there: but for the name, all would be as the manifest pins it.
    right = folder / "member-0.safetensors"
    (folder / "sub").mkdir()
    for place in (folder.parent / right.name, folder / "sub" / right.name):
        shutil.copy(right, place)
    rewrite(folder, lambda content: content["classifier"]["members"][0].update(file=name))
    with pytest.raises(bundle.OutsideFolderError):
        bundle.load(folder)


def test_a_link_out_of_the_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    weights = folder / "member-0.safetensors"
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(bundle.OutsideFolderError):
        bundle.load(folder)


@pytest.mark.parametrize("name", ["bundle.zip", "bundle"])
def test_an_archive_in_the_place_of_a_folder_is_never_unpacked(tmp_path: Path, name: str) -> None:
    """A bundle is a folder: what paths an archive holds does not matter, because none is opened."""
    (tmp_path / "in").mkdir()
    archive = zip_slip(tmp_path / "in" / name)
    before = sorted(tmp_path.rglob("*"))
    for use in (bundle.load, bundle.verify, bundle.verify_and_open, bundle.load_manifest):
        with pytest.raises(bundle.MissingFileError, match=r"cannot read bundle\.json"):
            use(archive)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_among_the_weights_is_no_weights(folder: Path) -> None:
    archive = zip_slip(folder / "member-0.safetensors").read_bytes()
    with pytest.raises(bundle.ChangedFileError):
        bundle.load(folder)
    sha256 = bundle.hashlib.sha256(archive).hexdigest()
    rewrite(folder, lambda found: found["classifier"]["members"][0].update(sha256=sha256))
    with pytest.raises(bundle.WeightsError):
        bundle.load(folder)
    assert not (folder.parent.parent / "evil.py").exists()


def test_weights_that_are_a_pickle_are_never_unpickled(folder: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"

    class Evil:
        def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
            return Path.touch, (witness,)

    content = pickle.dumps(Evil())
    (folder / "member-0.safetensors").write_bytes(content)
    sha256 = bundle.hashlib.sha256(content).hexdigest()
    rewrite(folder, lambda found: found["classifier"]["members"][0].update(sha256=sha256))
    with pytest.raises(bundle.WeightsError):
        bundle.load(folder)
    assert not witness.exists()


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_not_even_written(tmp_path: Path, number: float) -> None:
    with pytest.raises(bundle.WeightsError, match="not finite"):
        bundle.write_weights(tmp_path, "w.safetensors", {"w": torch.tensor([1.0, number])})


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999"])
def test_a_gate_that_is_no_number_is_refused(folder: Path, text: str) -> None:
    path = folder / "bundle.json"
    path.write_text(path.read_text().replace('"threshold": 0.99', f'"threshold": {text}'))
    with pytest.raises(ValueError, match=r"bundle\.json"):
        bundle.load_manifest(folder)


@pytest.mark.parametrize("number", [math.nan, math.inf, -0.5, 1.5])
def test_a_verdict_holds_probabilities_only(number: float) -> None:
    said = make_verdict().classification
    assert said is not None
    for change in (
        {"p_malignant": number},
        {"p_melanoma": number},
        {"confidence": number},
        {"members": (Member(number, 0.1),)},
        {"probabilities": dict(said.probabilities) | {"mel": number}},
    ):
        with pytest.raises(InvalidVerdictError):
            replace(said, **change)


@pytest.mark.parametrize(
    "outline",
    [
        ((math.nan, 0.5),) * 3,
        ((0.5, math.inf),) * 3,
        ((-5.0, 0.5),) * 3,
        ((0.5, 7.0),) * 3,
        ((0.5, 0.5),) * 100_000,
    ],
    ids=["NaN", "infinite", "negative", "outside", "endless"],
)
def test_an_outline_lies_on_the_photo_and_ends(outline: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(InvalidVerdictError, match="outline"):
        replace(make_verdict(), outline=outline)


@pytest.mark.parametrize("number", [math.nan, math.inf, -1.0, 40.0])
def test_a_heat_map_holds_shares_only(number: float) -> None:
    with pytest.raises(InvalidVerdictError, match="heat map"):
        replace(make_verdict(), heatmap=Heatmap(grid=((0.0, number),), box=(0.0, 0.0, 1.0, 1.0)))
