"""The converted networks on disk: made once, checked at each start, made again when damaged."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from inference_worker import openvino_cache
from inference_worker.bundle import Bundle, load
from inference_worker.openvino_cache import SEGMENTER, SUMS, ConversionError
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
    assert "member-0" in openvino_cache.networks(bundle, occupied)
    assert "cannot keep" in caplog.text


def test_a_network_that_openvino_cannot_take_is_named(bundle: Bundle) -> None:
    class Odd(torch.nn.Module):
        def forward_features(self, _: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("an odd operation")

    broken = Bundle(bundle.folder, bundle.manifest, bundle.sha256, (Odd(),), None, None)
    with pytest.raises(ConversionError, match=r"(?s)member-0.*odd operation"):
        openvino_cache.networks(broken, None)


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
