"""A bundle's members in integers: made by an operator's photos, measured, and never trusted more.

The network is small and drawn at random, and so are the photos: what integers do to a trained one
on real photos is measured in `test_exactness_on_photos`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from inference_worker import cache_cleaning, engines, openvino_cache, quantise, quantised
from inference_worker.bundle import Bundle, verify_and_open
from inference_worker.engine_options import parse
from inference_worker.engines import Engines
from inference_worker.exactness import distance
from inference_worker.manifest import FixedGate, Gate
from inference_worker.pipeline import Pipeline
from tests.inference_worker import drawing, tiny
from training import drawn

PHOTOS = 40


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(PHOTOS):
        pixels, _ = drawn.lesion(number, (160, 120))
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


@pytest.fixture(scope="module")
def made(bundle: Bundle, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Quantise by the command; return the cache."""
    cache = tmp_path_factory.mktemp("cache")
    assert quantise.main([str(bundle.folder), str(photos), str(cache)]) == 0
    return cache


@pytest.fixture(scope="module", autouse=True)
def _few() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantise, "FEWEST", PHOTOS)
        patch.setattr(quantise, "FEWEST_MALIGNANT", 0)
        yield


@pytest.fixture
def cache(made: Path, tmp_path: Path) -> Path:
    """Return a copy, to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "cache"))


@pytest.fixture
def again(
    bundle: Bundle, photos: Path, made: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[], str]:
    """Return what quantises again and is refused; it returns what was said."""

    def run() -> str:
        assert quantise.main([str(bundle.folder), str(photos), str(made)]) == 2
        return capsys.readouterr().err

    return run


def ladder(bundle: Bundle, cache: Path | None) -> Engines:
    return engines.build(verify_and_open(bundle.folder), parse("openvino-int8", cache=cache))


def names(ready: Engines) -> list[str]:
    return [rung.name for rung in ready.ladder]


@pytest.mark.parametrize(("bfloat16", "between"), [(False, []), (True, ["openvino-bfloat16"])])
def test_integers_come_before_what_the_machine_would_take(
    bundle: Bundle,
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
    bfloat16: bool,
    between: list[str],
) -> None:
    monkeypatch.setattr(engines, "cpu_multiplies_bfloat16", lambda: bfloat16)

    ready = ladder(bundle, made)

    assert names(ready) == ["openvino-int8", *between, "openvino-float32", "torch-float32"]
    assert ready.prepare is not None
    ready.prepare()


def test_the_band_is_twice_what_was_measured_on_photos_that_calibrated_nothing(
    bundle: Bundle, made: Path
) -> None:
    found = quantised.read(bundle, made)

    assert found is not None
    measured = found.measured
    assert measured.photos == PHOTOS // 2
    assert measured.largest > 0.001
    assert found.band == max(2 * measured.largest, engines.BFLOAT16_BAND)
    assert 0 <= measured.asked_again <= 1
    assert ladder(bundle, made).ladder[0].band == found.band


@pytest.mark.parametrize("bfloat16", [False, True])
def test_their_time_stands_beside_what_would_run_without_them(
    bundle: Bundle, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bfloat16: bool
) -> None:
    compared: list[str] = []

    def note(
        _bundle: Bundle, coarse: Pipeline, exact: Pipeline, usual: Pipeline, _paths: list[Path]
    ) -> None:
        compared.extend(one._engines.ladder[0].name for one in (coarse, exact, usual))
        raise quantise.QuantiseError("noted")

    monkeypatch.setattr(quantise, "cpu_multiplies_bfloat16", lambda: bfloat16)
    monkeypatch.setattr(engines, "cpu_multiplies_bfloat16", lambda: bfloat16)
    monkeypatch.setattr(quantise, "measure", note)

    assert quantise.main([str(bundle.folder), str(photos), str(tmp_path)]) == 2

    usual = "openvino-bfloat16" if bfloat16 else "openvino-float32"
    assert compared == ["openvino-int8", "openvino-float32", usual]


def test_the_share_is_of_the_time_of_what_would_run(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three pipelines that take 2, 8 and 4 s a photo."""
    clock = [0.0]

    class Slow:
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        def run(self, *_: object, **__: object) -> object:
            clock[0] += self.seconds
            return SimpleNamespace(classification=said)

    said = Pipeline(bundle).run(drawing.lesion(), always_classify=True).classification
    monkeypatch.setattr(quantise, "_read", lambda _: None)
    monkeypatch.setattr(quantise.time, "perf_counter", lambda: clock[0])
    _, ratio = quantise.measure(bundle, Slow(2), Slow(8), Slow(4), [Path("a"), Path("b")])
    assert ratio == pytest.approx(0.5)


def test_the_networks_compute_in_integers(bundle: Bundle, made: Path) -> None:
    found = quantised.read(bundle, made)
    assert found is not None
    floating = openvino_cache.networks(bundle, made)
    for name, model in found.models.items():
        assert any(op.get_type_name() == "FakeQuantize" for op in model.get_ops())
        assert all(op.get_type_name() != "FakeQuantize" for op in floating[name].get_ops())


def test_no_threshold_drawn_beside_an_answer_changes_its_category(
    bundle: Bundle, made: Path
) -> None:
    """Between the exact answer and that of integers: where the latter is on the wrong side."""
    crossed = 0
    ready = ladder(bundle, made)
    alone = ready.only(ready.ladder[0])
    for number in range(100, 106):
        pixels, _ = drawn.lesion(number, (160, 120))
        exact = Pipeline(bundle).run(pixels, always_classify=True).classification
        coarse = Pipeline(bundle, alone).run(pixels, always_classify=True).classification
        assert exact is not None
        assert coarse is not None
        assert 0 < distance(coarse, exact) * bundle.manifest.temperature <= ready.ladder[0].band
        threshold = max(0.5, (exact.confidence + coarse.confidence) / 2)
        gate = Gate(fixed=FixedGate(threshold))
        gated = dataclasses.replace(
            bundle, manifest=dataclasses.replace(bundle.manifest, gate=gate)
        )
        expected = Pipeline(gated).run(pixels, always_classify=True).classification
        found = Pipeline(gated, ready).run(pixels, always_classify=True).classification
        wrong = Pipeline(gated, alone).run(pixels, always_classify=True).classification
        assert found is not None
        assert expected is not None
        assert wrong is not None
        assert found.category is expected.category
        crossed += wrong.category is not expected.category
    assert crossed


def test_a_bundle_that_was_not_quantised_runs_in_floating_point(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for cache in (tmp_path, None):
        assert "openvino-int8" not in names(ladder(bundle, cache))
        assert "python -m inference_worker.quantise" in caplog.text
        caplog.clear()


def spoil_weights(folder: Path) -> None:
    path = folder / "member-1.bin"
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(content)


def spoil_measures(folder: Path) -> None:
    (folder / quantised.MEASURED).write_text("{}")


def other_cpu(folder: Path) -> None:
    path = folder / quantised.MEASURED
    told = json.loads(path.read_text())
    text = json.dumps(told | {"vnni": not told["vnni"]})
    path.write_text(text)
    note(folder, quantised.MEASURED)


def one_member_less(folder: Path) -> None:
    (folder / "member-1.xml").unlink()
    sums = json.loads((folder / openvino_cache.SUMS).read_text())
    del sums["member-1.xml"]
    (folder / openvino_cache.SUMS).write_text(json.dumps(sums))


def no_band(folder: Path) -> None:
    (folder / quantised.MEASURED).write_text('{"photos": 3}')
    note(folder, quantised.MEASURED)


def note(folder: Path, name: str) -> None:
    """List `name` as it is now."""
    path = folder / openvino_cache.SUMS
    sums = json.loads(path.read_text())
    path.write_text(json.dumps(sums | {name: openvino_cache.sha256(folder / name)}))


@pytest.mark.parametrize(
    "spoil", [spoil_weights, spoil_measures, other_cpu, one_member_less, no_band]
)
def test_integers_that_are_not_whole_or_of_another_cpu_are_not_used(
    bundle: Bundle, cache: Path, spoil: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert callable(spoil)
    spoil(quantised.folder(bundle, cache))

    assert "openvino-int8" not in names(ladder(bundle, cache))

    assert "runs in floating point" in caplog.text


def test_converting_anew_leaves_the_integers(bundle: Bundle, cache: Path) -> None:
    shutil.rmtree(cache / openvino_cache.name(bundle))

    openvino_cache.networks(bundle, cache)

    assert quantised.read(bundle, cache) is not None


def test_quantising_again_takes_the_place_of_what_was(
    bundle: Bundle, cache: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (quantised.folder(bundle, cache) / quantised.MEASURED).write_text("{}")

    assert quantise.main([str(bundle.folder), str(photos), str(cache)]) == 0

    assert "integers took" in capsys.readouterr().out
    assert quantised.read(bundle, cache) is not None
    assert (cache / openvino_cache.name(bundle)).exists()


@pytest.mark.parametrize(
    ("ratio", "again", "told"), [(0.4, 0.3, "Set INFERENCE_ENGINE"), (0.8, 0.3, "no gain here")]
)
def test_what_is_no_gain_is_not_advised(ratio: float, again: float, told: str) -> None:
    measured = quantised.Measured(True, 64, 20, 0.2, 0.5, again)
    said = quantise.advice(measured, ratio, "openvino-bfloat16")
    assert told in said
    assert "of the time of openvino-bfloat16" in said


def test_too_few_photos_are_refused_with_how_many_it_takes(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    Image.fromarray(drawing.lesion()).save(tmp_path / "photos/one.png")

    assert quantise.main([str(bundle.folder), str(tmp_path / "photos"), str(tmp_path)]) == 2

    assert f"holds 1 photos (.jpg, .png): integers need at least {quantise.FEWEST}" in (
        capsys.readouterr().err
    )


def test_many_photos_are_thinned_out_evenly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantise, "MOST", 41)
    for number in range(81):
        (tmp_path / f"{number:03}.jpg").touch()
    (tmp_path / "notes.txt").touch()

    assert [path.stem for path in quantise.find(tmp_path)] == [f"{n:03}" for n in range(0, 81, 2)]


def test_a_file_that_is_no_photo_is_named(
    bundle: Bundle, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(photos, tmp_path / "photos"))
    (folder / "000.png").write_bytes(b"no photo")

    assert quantise.main([str(bundle.folder), str(folder), str(tmp_path / "cache")]) == 2

    assert "000.png cannot be read as a photo" in capsys.readouterr().err


def test_what_makes_integers_is_asked_for_where_it_is_not_installed(
    again: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)

    assert "pip install -c deploy/constraints.txt nncf" in again()


def test_a_cache_that_cannot_be_written_is_named(
    bundle: Bundle, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")

    assert quantise.main([str(bundle.folder), str(photos), str(occupied)]) == 2

    assert f"cannot write {occupied}" in capsys.readouterr().err


def test_neither_a_photo_nor_where_it_lay_is_kept(bundle: Bundle, made: Path, photos: Path) -> None:
    folder = quantised.folder(bundle, made)
    networks = {f"member-{i}.{kind}" for i in range(2) for kind in ("xml", "bin")}
    assert {path.name for path in folder.iterdir()} == {
        *networks,
        quantised.MEASURED,
        openvino_cache.SUMS,
    }
    content = b"".join(path.read_bytes() for path in folder.iterdir())
    for place in (photos, made, bundle.folder):
        assert str(place).encode() not in content


def test_photos_are_not_held_with_all_their_views(bundle: Bundle, photos: Path) -> None:
    view = quantise._view(Pipeline(bundle), photos / "000.png")
    assert view.base is None
    assert view.shape == (1, 3, tiny.SIDE, tiny.SIDE)


def test_photos_of_naevi_alone_do_not_measure_what_is_malignant(
    again: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantise, "FEWEST_MALIGNANT", PHOTOS)

    assert "add photos of malignant lesions" in again()


def test_a_disk_that_is_full_keeps_what_was(
    bundle: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = quantised.read(bundle, cache)
    assert before is not None

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("no space left on device")

    monkeypatch.setattr(openvino_cache.runtime(), "save_model", full)
    with pytest.raises(OSError, match="no space left"):
        quantised.keep(before, quantised.folder(bundle, cache))
    assert quantised.read(bundle, cache) is not None


def test_age_removes_no_integers(bundle: Bundle, cache: Path) -> None:
    long_ago = time.time() - 2 * cache_cleaning.UNUSED_FOR
    for folder in (quantised.folder(bundle, cache), cache / openvino_cache.name(bundle)):
        os.utime(folder, (long_ago, long_ago))

    cache_cleaning.clean(cache, keep=cache)

    assert quantised.read(bundle, cache) is not None
    assert not (cache / openvino_cache.name(bundle)).exists()


def test_making_integers_tells_nobody(bundle: Bundle, made: Path) -> None:
    assert quantised.read(bundle, made) is not None
    assert sys.modules["openvino_telemetry"] is None  # type: ignore[comparison-overlap] - made so
