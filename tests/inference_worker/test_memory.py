"""What a compiled network does not need any more is given back, and nothing else is."""

from __future__ import annotations

import mmap
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from inference_worker import memory, openvino_cache
from inference_worker.bundle import load
from inference_worker.openvino_engine import OpenVinoNetwork
from tests.inference_worker import tiny

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = 64


def resident(path: Path) -> int:
    """Return how many KiB of mappings of the file at `path` are in memory."""
    total, here = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            here = line.endswith(f" {path}")
        elif here and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "with a space.bin"
    path.write_bytes(bytes(range(256)) * (PAGES * mmap.PAGESIZE // 256))
    return path


@pytest.fixture
def mapped(written: Path) -> Iterator[mmap.mmap]:
    with written.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as kept:
        assert sum(kept[:: mmap.PAGESIZE]) == 0  # each page is read
        yield kept


def test_what_is_given_back_is_read_from_the_file_again(written: Path, mapped: mmap.mmap) -> None:
    assert resident(written) == PAGES * mmap.PAGESIZE // 1024

    memory.give_back_mapped(written)

    assert resident(written) == 0
    assert mapped[:] == written.read_bytes()


def test_other_files_stay(written: Path, mapped: mmap.mmap) -> None:
    memory.give_back_mapped(written.with_name("another"))

    assert resident(written) == PAGES * mmap.PAGESIZE // 1024
    assert mapped[255] == 255


def test_what_could_be_written_to_keeps_what_was_written(written: Path) -> None:
    with written.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as copy:
        copy[0] = 99

        memory.give_back_mapped(written)

        assert copy[0] == 99


def test_elsewhere_nothing_happens(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(memory, "_MAPS", written.with_name("absent"))

    memory.give_back_mapped(written)


def test_a_compiled_network_leaves_its_weights_file_and_answers_as_before(tmp_path: Path) -> None:
    bundle = load(tiny.write(tmp_path / "bundle", members=1))
    fresh = openvino_cache.networks(bundle, None)["member-0"]
    openvino_cache.networks(bundle, tmp_path / "cache")
    model = openvino_cache.networks(bundle, tmp_path / "cache")["member-0"]
    weights = openvino_cache.weights_of(model)
    assert weights is not None
    assert openvino_cache.weights_of(fresh) is None
    side = bundle.manifest.classifier.input.size
    network, whole = OpenVinoNetwork(model, "float32", 1), OpenVinoNetwork(fresh, "float32", 1)
    for count in (1, 4, 1):
        x = torch.rand(count, 3, side, side)
        for found, expected in zip(network.run(x), whole.run(x), strict=True):
            assert torch.equal(found, expected)
        # It still reads a small constant or two where they lie.
        assert resident(weights) * 1024 < weights.stat().st_size / 10
