"""What is measured of the machine, of the members on it, and of processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks import machine, memory, rates, together
from benchmarks.platform_product import held_by
from dermai.supervisor import Child
from inference_worker.bundle import load
from inference_worker.engines import Anchored, Engines, Rung
from tests.inference_worker import tiny

CUDA = torch.device("cuda")
MB = 2**20


def test_a_multiplication_and_an_addition_are_two_operations() -> None:
    assert machine.flops(nn.Linear(10, 5, bias=False), torch.zeros(3, 10)) == 2 * 3 * 10 * 5


def test_a_matrix_product_is_measured_on_the_device_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "_SIDES", {"cpu": 64, "meta": 128})
    monkeypatch.setattr(machine, "fastest", lambda work, *_: 2.0 if work() is not None else 0)
    assert machine.matmul_rate(torch.float32) == 64**3
    assert machine.matmul_rate(torch.bfloat16, torch.device("meta")) == 128**3


def test_a_cpus_rate_is_that_of_the_faster_library(monkeypatch: pytest.MonkeyPatch) -> None:
    took = iter([4.0, 2.0, 2.0, 4.0])
    monkeypatch.setattr(machine, "_SIDES", {"cpu": 64})
    monkeypatch.setattr(machine, "fastest", lambda work, *_: work() is not None and next(took))
    assert machine.matmul_rate(torch.float32) == 64**3
    assert machine.matmul_rate(torch.float32) == 64**3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_openvinos_product_is_the_product(dtype: torch.dtype) -> None:
    a, b = torch.rand(64, 64), torch.rand(64, 64)
    (found,) = machine._openvino_product(a, b, dtype)()
    assert torch.allclose(found, a @ b, rtol=0.02)


def test_a_gpu_has_done_its_work_when_the_clock_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _device: done.append("waited"))
    monkeypatch.setattr(machine.time, "perf_counter", lambda: done.append("clock") or len(done))
    machine.fastest(lambda: done.append("work"), 2, CUDA)
    assert done == ["clock", "work", "waited", "clock"] * 3
    done.clear()
    machine.fastest(lambda: done.append("work"), 2)
    assert "waited" not in done


@pytest.mark.parametrize("has_it", [True, False])
def test_each_device_says_whether_it_multiplies_bfloat16(
    monkeypatch: pytest.MonkeyPatch, has_it: bool
) -> None:
    monkeypatch.setattr(machine, "cpu_multiplies_bfloat16", lambda: has_it)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: not has_it)
    assert machine.multiplies_bfloat16(machine.CPU) is has_it
    assert machine.multiplies_bfloat16(CUDA) is not has_it


@dataclass
class Slow:
    """A member whose pass over a view takes `seconds` of a clock that all of them share."""

    clock: list[float]
    seconds: float
    views: list[int] = field(default_factory=list)

    def forward(self, x: torch.Tensor) -> None:
        self.views.append(len(x))
        self.clock.append(self.seconds * len(x))


def test_the_share_is_that_of_the_fast_passes_and_the_anchor_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock: list[float] = []

    def fastest(work: Callable[[], object], _repeats: int, _device: torch.device) -> float:
        before = sum(clock)
        work()
        return sum(clock) - before

    monkeypatch.setattr(machine, "fastest", fastest)
    monkeypatch.setattr(machine, "matmul_rate", lambda *_: 1e9)
    bundle = load(tiny.write(tmp_path, members=2))
    exact = [Slow(clock, 1.0) for _ in range(2)]
    fast = [Slow(clock, 0.25) for _ in range(2)]
    anchored = [Anchored(*pair) for pair in zip(fast, exact, strict=True)]

    def ladder(members: list[object]) -> Engines:
        return Engines((Rung("slow", tuple(members), 0.0),), members[0], None)

    told = rates.shares(bundle, {"float32": ladder(exact), "bfloat16": ladder(anchored)})

    assert [member.views for member in fast] == [[8], [8]]  # nine views, two of them the same
    assert [member.views for member in exact] == [[8, 1], [8, 1]]
    work = told["gflop_a_photo"]
    assert told["gflops_fp32"] == pytest.approx(work / 16, abs=0.06)
    assert told["share_of_matmul_fp32"] == pytest.approx(work / 16, abs=2e-3)
    assert told["share_of_matmul_bf16"] == pytest.approx(work / 4, abs=2e-3)
    assert told["anchor_ms"] == 2000


class Asked:
    """A pipeline that notes what it is asked."""

    def __init__(self) -> None:
        self.log: list[object] = []

    def begin(self, pixels: str, *, always_classify: bool) -> str:
        assert always_classify
        self.log.append(pixels)
        return pixels.upper()

    def ask_together(self, photos: list[str]) -> None:
        self.log.append(list(photos))

    def finish(self, photo: str) -> str:
        self.log.append(photo)
        return f"{photo}!"


def test_groups_are_full_and_asked_together() -> None:
    pipeline = Asked()
    assert together.judge(pipeline, ["a", "b"]) == ["A!", "B!"]
    assert pipeline.log == ["a", "b", ["A", "B"], "A", "B"]


def test_photos_a_second_count_the_whole_of_every_timed_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline, times = Asked(), iter([10.0, 16.0])
    monkeypatch.setattr(together.time, "perf_counter", lambda: next(times))
    told = together.saturate({"bfloat16": pipeline}, ["a", "b"], 3)
    assert pipeline.log.count(["A", "B", "A"]) == together.GROUPS + 1
    assert told == {"together": 3, "images_per_s_together_bf16": together.GROUPS * 3 / 6}


def test_the_most_memory_is_the_programs_own_and_not_that_of_who_started_it() -> None:
    child = "from benchmarks import memory; print(memory.peak())"
    parent = (
        "import subprocess, sys; held = b'x' * (300 << 20);"
        f"subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    )
    done = subprocess.run([sys.executable, "-c", parent], check=True, capture_output=True)
    assert 2 * MB < int(done.stdout) < 100 * MB


def test_the_most_memory_stays_when_it_is_given_back() -> None:
    before = memory.held("self", "VmRSS")
    block = b"x" * (64 * MB)
    held = memory.held("self", "VmRSS")
    del block
    assert held > before + 60 * MB
    assert memory.peak() > held - MB  # the kernel counts in batches


def test_pages_that_processes_share_count_once() -> None:
    forked = (
        "import os, time; held = b'x' * (96 << 20); os.fork(); print(flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", forked], start_new_session=True, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == [b"\n"] * 2
        child = Child("forked", [], process=process)
        resident, shared = (held_by(child, kind) for kind in ("VmRSS", "Pss"))
    finally:
        os.killpg(process.pid, 9)
        process.communicate()
    assert len(resident) == len(shared) == 2
    assert sum(resident.values()) > 2 * 96 * MB
    assert 96 * MB < sum(shared.values()) < 1.5 * 96 * MB
