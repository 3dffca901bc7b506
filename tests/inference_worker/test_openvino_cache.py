"""The converted networks on disk: made once, checked at each start, made again when damaged."""

from __future__ import annotations

import dataclasses
import fcntl
import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from benchmarks import material
from inference_worker import cache_cleaning, conversion, engines, openvino_cache
from inference_worker.architectures import build_classifier
from inference_worker.bundle import (
    Bundle,
    WeightsError,
    load,
    load_manifest,
    verify_and_open,
    write_manifest,
    write_weights,
)
from inference_worker.engine_options import parse
from inference_worker.errors import ConversionError, ConversionTimeoutError
from inference_worker.manifest import ClassifierSpec
from inference_worker.openvino_cache import SEGMENTER, SUMS
from inference_worker.openvino_engine import OpenVinoNetwork
from tests.inference_worker import tiny

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    return load(tiny.write(folder, members=1, segmenter_bias=0.5))


def converted(caplog: pytest.LogCaptureFixture) -> int:
    """Return how many networks were converted since the last call."""
    count = sum("converting" in r.message and " of " in r.message for r in caplog.records)
    caplog.clear()
    return count


def test_it_is_converted_once_and_again_only_when_damaged(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert openvino_cache.networks(bundle, tmp_path).keys() == {"member-0", SEGMENTER}
    assert converted(caplog) == 2
    assert openvino_cache.networks(bundle, tmp_path).keys() == {"member-0", SEGMENTER}
    assert converted(caplog) == 0

    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith(bundle.sha256[:32])
    weights = folder / "member-0.bin"
    content = bytearray(weights.read_bytes())
    content[100] ^= 1
    weights.write_bytes(content)
    openvino_cache.networks(bundle, tmp_path)
    assert "member-0.bin" in caplog.text
    assert converted(caplog) == 2
    openvino_cache.networks(bundle, tmp_path)
    assert converted(caplog) == 0

    (folder / "segmenter.xml").unlink()
    openvino_cache.networks(bundle, tmp_path)
    assert converted(caplog) == 2

    (folder / SUMS).write_text("{}")
    openvino_cache.networks(bundle, tmp_path)
    assert converted(caplog) == 2
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_a_cache_that_cannot_be_written_costs_time_but_no_start(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    for known in (bundle, verify_and_open(bundle.folder)):
        assert "member-0" in openvino_cache.networks(known, occupied)
        assert "cannot keep" in caplog.text
        caplog.clear()


def test_a_worker_has_its_bundle_converted_in_another_process(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And hears of its progress."""
    caplog.set_level(logging.INFO)
    opened = verify_and_open(bundle.folder)

    assert openvino_cache.networks(opened, tmp_path).keys() == {"member-0", SEGMENTER}

    by = {r.name for r in caplog.records if "converting" in r.message and " of " in r.message}
    assert by == {"inference_worker.conversion"}
    assert converted(caplog) == 2
    assert openvino_cache.networks(opened, tmp_path).keys() == {"member-0", SEGMENTER}
    assert converted(caplog) == 0


def test_workers_that_start_together_convert_once(bundle: Bundle, tmp_path: Path) -> None:
    """Those that come later wait, without a network in memory, and find what the first made."""
    command = [sys.executable, "-m", conversion.__name__, str(bundle.folder), str(tmp_path)]
    started = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in "12"]
    said = [process.communicate(timeout=170)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert sorted("converting member-0" in text for text in said) == [False, True]


def test_where_nothing_can_be_kept_no_other_process_converts(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    occupied = tmp_path / "file"
    occupied.write_text("")
    assert "member-0" in openvino_cache.networks(verify_and_open(bundle.folder), occupied)
    assert "nothing can be kept" in caplog.text
    by = [r.name for r in caplog.records if "converting member-0" in r.message]
    assert by == ["inference_worker.openvino_cache"]


def test_what_another_openvino_converted_is_removed(bundle: Bundle, tmp_path: Path) -> None:
    outdated = tmp_path / f"{bundle.sha256[:32]}-openvino-2020.1-1"
    other = tmp_path / f"{'0' * 32}-openvino-2020.1-1"
    for folder in (outdated, other):
        folder.mkdir()
    openvino_cache.networks(bundle, tmp_path)
    assert not outdated.exists()
    assert other.exists()


DAY = 24 * 3600.0
UNFINISHED = "unfinished-0a1b2c3d"
ANOTHER_BUNDLE = f"{'0' * 32}-openvino-2020.1-1"


@pytest.mark.parametrize(
    ("name", "age", "stays"),
    [
        (UNFINISHED, 2 * DAY, False),
        (UNFINISHED, DAY / 24, True),  # another worker may be writing there
        (ANOTHER_BUNDLE, 40 * DAY, False),
        (ANOTHER_BUNDLE, 20 * DAY, True),
        ("somebody-elses", 400 * DAY, True),
    ],
)
def test_what_nothing_uses_any_more_is_removed_by_its_age(
    bundle: Bundle, tmp_path: Path, name: str, age: float, stays: bool
) -> None:
    folder = tmp_path / name / "inside"
    folder.mkdir(parents=True)
    (folder / "member-0.bin").write_bytes(b"weights")
    os.utime(folder.parent, (time.time() - age,) * 2)

    kept = openvino_cache.networks(bundle, tmp_path)

    assert kept.keys() == {"member-0", SEGMENTER}
    assert folder.parent.exists() is stays
    own = {path.name for path in tmp_path.iterdir()} - {name}
    assert len(own) == 1
    assert own.pop().startswith(bundle.sha256[:32])


def test_a_bundle_that_a_worker_has_read_lately_is_in_use_however_long_ago_it_was_converted(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    openvino_cache.networks(bundle, tmp_path)
    (folder,) = tmp_path.iterdir()
    os.utime(folder, (time.time() - 40 * DAY,) * 2)
    converted(caplog)

    openvino_cache.networks(bundle, tmp_path)
    cache_cleaning.clean(tmp_path, keep=tmp_path / "another")

    assert converted(caplog) == 0
    assert folder.exists()


def test_what_another_worker_removes_while_it_is_read_is_converted_again(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino_cache.networks(bundle, tmp_path)
    (folder,) = tmp_path.iterdir()
    hashed = openvino_cache.sha256

    def remove_behind(path: Path) -> str:
        told = hashed(path)
        if path.suffix == ".xml":
            path.unlink()
        return told

    monkeypatch.setattr(openvino_cache, "sha256", remove_behind)
    with pytest.raises(openvino_cache.DamagedCacheError):
        openvino_cache.read(folder)
    monkeypatch.undo()
    assert openvino_cache.networks(bundle, tmp_path).keys() == {"member-0", SEGMENTER}


def test_converting_that_does_not_end_is_ended_by_name(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here another process holds the folder and hangs."""
    monkeypatch.setattr(conversion, "TIME_LIMIT", 1.0)
    opened = verify_and_open(bundle.folder)
    with (tmp_path / conversion.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConversionTimeoutError, match="longer than 1 s") as told:
            engines.build(opened, parse("openvino", cache=tmp_path))
        assert told.value.code == "model_unavailable"
        assert engines.build(opened, parse("auto", cache=tmp_path)).ladder[0].name == (
            "torch-float32"
        )


def test_what_another_process_cannot_convert_is_named_here(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "bundle", members=1)
    described, _ = load_manifest(folder)
    state = {n: t for n, t in tiny.member(0).state_dict().items() if "trunk.conv_stem" not in n}
    pinned = write_weights(folder, "member-0.safetensors", state)
    (member,) = described.classifier.members
    members = (dataclasses.replace(member, sha256=pinned.sha256),)
    classifier = dataclasses.replace(described.classifier, members=members)
    write_manifest(folder, dataclasses.replace(described, classifier=classifier))

    with pytest.raises(WeightsError, match="member-0"):
        openvino_cache.networks(verify_and_open(folder), tmp_path / "cache")


def test_a_network_that_openvino_cannot_take_is_named(bundle: Bundle) -> None:
    class Odd(torch.nn.Module):
        def forward_features(self, _: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("an odd operation")

    broken = Bundle(bundle.folder, bundle.manifest, bundle.sha256, (Odd(),), None, None)
    with pytest.raises(ConversionError, match=r"(?s)member-0.*odd operation"):
        openvino_cache.networks(broken, None)


def test_the_layer_norms_of_a_convnext_are_flat_and_say_the_same() -> None:
    drawn = material.drawn(64)
    member = build_classifier(ClassifierSpec("convnext_atto"), 7)
    material.enliven(member, drawn, seed=0)
    member.requires_grad_(requires_grad=False)

    model = openvino_cache.convert(openvino_cache.WithMap(member), 64, "member-0")

    ranks = [
        op.input(0).get_partial_shape().rank.get_length()
        for op in model.get_ops()
        if op.get_type_name() == "MVN"
    ]
    assert len(ranks) == 16  # one a block, and one before each of the four stages
    assert set(ranks) == {2}
    network = OpenVinoNetwork(model, "float32", 1)
    for count in (1, 6):
        seen = drawn[:count]
        features = member.forward_features(seen)
        expected = member.forward_head(features), features
        for found, plain in zip(network.run(seen), expected, strict=True):
            assert torch.allclose(found, plain, rtol=1e-4, atol=1e-4)


def test_converting_leaves_pytorchs_layer_norm_as_it_was(bundle: Bundle) -> None:
    class Odd(torch.nn.Module):
        def forward(self, _: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("an odd operation")

    before = torch.nn.functional.layer_norm
    openvino_cache.convert(openvino_cache.WithMap(bundle.members[0]), 64, "member-0")
    with pytest.raises(ConversionError):
        openvino_cache.convert(Odd(), 64, "odd")
    assert torch.nn.functional.layer_norm is before


def test_openvino_tells_nobody_that_it_is_used() -> None:
    """Its telemetry sends at import: the package that sends must never be loaded."""
    code = (
        "import sys, threading; from inference_worker import openvino_cache\n"
        "openvino_cache.runtime().convert_model\n"
        "sending = [n for n, m in sys.modules.items() if 'openvino_telemetry' in n and m]\n"
        "print(sending, [t.name for t in threading.enumerate()])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[] ['MainThread']"


DROPPED_IN_THEIR_ORDER = """
import faulthandler, signal, torch
from inference_worker import openvino_cache
from inference_worker.openvino_engine import OpenVinoNetwork

faulthandler.enable()
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
layer = openvino_cache.runtime().convert_model(
    torch.nn.Conv2d(3, 4, 3), example_input=torch.zeros(1, 3, 8, 8)
)
networks = [OpenVinoNetwork(layer, "float32", 1) for _ in range(3)]
for network in networks:
    network.prepare(1, 8)
while networks:
    del networks[0], network
    network = None
signal.raise_signal(signal.SIGUSR1)
"""


def test_a_signal_is_handled_after_networks_were_dropped() -> None:
    """Each core of OpenVINO's puts up a stack for signals; dropped ones took another's away."""
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DROPPED_IN_THEIR_ORDER],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stdout.strip()) == (0, "handled")


def test_threads_that_ask_at_one_moment_get_the_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    class Slow:
        def Core(self) -> object:  # noqa: N802 - OpenVINO's
            time.sleep(0.05)
            made.append(object())
            return made[-1]

    monkeypatch.setattr(openvino_cache, "runtime", Slow)
    openvino_cache._core.cache_clear()
    try:
        with ThreadPoolExecutor(4) as pool:
            found = set(pool.map(lambda _: openvino_cache.core(), range(4)))
    finally:
        openvino_cache._core.cache_clear()
    assert found == set(made)
    assert len(made) == 1
