"""The one setting that names the engine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inference_worker.engine_options import (
    Options,
    UnknownEngineError,
    cpu_multiplies_bfloat16,
    cpu_multiplies_int8,
    parse,
    threads,
)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("auto", Options()),
        ("openvino", Options("openvino")),
        ("torch", Options("torch")),
        ("OpenVINO-float32", Options("openvino", "float32")),
        (" torch-bfloat16 ", Options("torch", "bfloat16")),
        ("openvino-int8", Options("openvino", "int8")),
    ],
)
def test_an_engine_alone_or_with_a_precision(text: str, options: Options) -> None:
    assert parse(text) == options


@pytest.mark.parametrize("text", ["", "onnx", "torch-int8", "auto-float32", "openvino-auto"])
def test_another_word_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(UnknownEngineError, match=r"auto.*openvino, torch.*float32"):
        parse(text)


def test_the_cache_goes_with_every_engine(tmp_path: Path) -> None:
    assert parse("auto", cache=tmp_path).cache == tmp_path
    assert parse("openvino", cache=tmp_path).cache == tmp_path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flags\t\t: fpu sse avx512f avx512_bf16 amx_tile", True),
        ("Features\t: fp asimd bf16", True),
        ("flags\t\t: fpu sse avx512f", False),
        ("bugs\t\t: amx_bf16", False),
    ],
)
def test_bfloat16_is_used_where_the_cpu_says_so(tmp_path: Path, line: str, expected: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\n{line}\n\n")
    assert cpu_multiplies_bfloat16(cpuinfo) is expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [("flags : fpu avx2 avx_vnni", True), ("flags : fpu avx2 avx512f avx512_bf16", False)],
)
def test_integers_are_of_one_kind_of_cpu(tmp_path: Path, line: str, expected: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"{line}\n")
    assert cpu_multiplies_int8(cpuinfo) is expected


def test_without_that_file_bfloat16_is_left_alone(tmp_path: Path) -> None:
    assert not cpu_multiplies_bfloat16(tmp_path / "absent")
    assert not cpu_multiplies_int8(tmp_path / "absent")


@pytest.mark.parametrize(
    ("granted", "expected"),
    [("max 100000", 64), ("200000 100000", 2), ("150000 100000", 2), ("10000 100000", 1), ("", 64)],
)
def test_a_container_computes_on_the_cores_that_it_is_granted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, granted: str, expected: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    (tmp_path / "cpu.max").write_text(granted)
    assert threads(tmp_path / "cpu.max") == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert threads(tmp_path / "cpu.max") == 7
