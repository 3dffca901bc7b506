"""The benchmark itself on a small network: its figures, its last line, and what it refuses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import figures, inference, machine, photos, product_load, together, workers
from inference_worker import quantise
from inference_worker.engine_options import cpu_multiplies_bfloat16
from tests.inference_worker import tiny
from training import drawn

pytestmark = pytest.mark.timeout(400)  # each also starts a process that loads the model

SMALL = ["--arch", "convnext_atto", "--members", "2", "--side", "64", "--count", "3", "--json"]
ASKED_FOR = {
    *("speedup_fp32", "speedup_bf16", "share_of_matmul_fp32", "share_of_matmul_bf16"),
    "max_abs_probability_difference_fp32",
    "max_abs_probability_difference_bf16",
    *("asked_again_fp32", "asked_again_bf16"),
}
OF_BFLOAT16 = {name for name in ASKED_FOR if "bf16" in name} | {"ours_bf16_s", "anchor_ms"}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, object], str]:
    """Return the object on the last line, and what was said beside it."""
    assert inference.main([*SMALL, *arguments]) == 0
    out, said = capsys.readouterr()
    return json.loads(out.splitlines()[-1]), said


def check_float32(told: dict[str, object]) -> None:
    assert told.keys() >= ASKED_FOR
    assert all(told[name] > 0 for name in told if "fp32" in name and name[:4] in {"spee", "shar"})
    assert told["max_abs_probability_difference_fp32"] <= 1e-4
    assert told["max_abs_heatmap_difference_fp32"] <= 1e-3
    assert told["categories_changed_fp32"] == 0
    assert 0 < told["product_load_s"] < 120
    assert 100 < told["product_memory_mb"] < told["peak_memory_mb"]


def check_bfloat16(told: dict[str, object]) -> None:
    """See that it is bfloat16 in truth: farther off than float32 is. Random weights amplify it."""
    assert all(told[name] for name in OF_BFLOAT16 - {"asked_again_bf16"})
    assert told["asked_again_bf16"] < 1  # else the differences would be those of float32
    off = told["max_abs_probability_difference_bf16"]
    assert 2 * told["max_abs_probability_difference_fp32"] < off <= 5e-2
    assert told["max_abs_heatmap_difference_bf16"] <= 1e-3
    assert told["categories_changed_bf16"] == 0


def test_the_last_line_is_one_object_with_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    told, said = run(capsys)
    check_float32(told)
    assert (told["device"], told["engine"], told["photos"]) == ("cpu", "openvino", 3)
    if cpu_multiplies_bfloat16():
        check_bfloat16(told)
    else:
        assert {told[name] for name in OF_BFLOAT16} == {None}
        assert "no instructions for bfloat16" in said


def test_integers_have_figures_of_their_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for number in range(quantise.FEWEST):
        Image.fromarray(drawn.lesion(number, (120, 90))[0]).save(tmp_path / f"{number}.png")

    told, said = run(capsys, "--views", "3", "--count", "2", "--int8", str(tmp_path))

    assert told["speedup_int8"] > 0
    assert told["gflops_int8"] > 0
    assert 100 < told["product_memory_mb_int8"] < told["peak_memory_mb"]
    assert told["product_load_s_int8"] > 0
    assert told["product_asks_int8"] == "openvino-int8"
    assert told["categories_changed_int8"] == 0
    assert 0 <= told["asked_again_int8"] <= 1
    assert "share_of_matmul_int8" not in told
    assert "integers took" in said


def test_integers_are_not_asked_of_what_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        inference.main([*SMALL, "--engine", "torch", "--int8", "nowhere"])
    assert ended.value.code == 2
    assert "integers are OpenVINO's" in capsys.readouterr().err


def test_too_few_photos_for_integers_are_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="no integers"):
        inference.main([*SMALL, "--int8", str(tmp_path)])
    assert "integers need at least" in capfd.readouterr().err


def test_integers_of_a_benchmark_take_nobody_elses_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        inference.main([*SMALL, "--int8", str(tmp_path), "--cache", str(tmp_path)])
    assert ended.value.code == 2
    assert "leave one out" in capsys.readouterr().err


def test_the_path_of_a_gpu_gives_every_figure_on_a_cpu_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch computes bfloat16 on any CPU, if slowly: hence the small matrices."""
    monkeypatch.setattr(machine, "cpu_multiplies_bfloat16", lambda: True)
    monkeypatch.setitem(machine._SIDES, "cpu", 64)
    monkeypatch.setattr(together, "GROUPS", 1)
    shorter = ["--views", "3", "--count", "2", "--together", "2"]
    told, said = run(capsys, "--device", "cpu", "--engine", "torch", *shorter)
    check_float32(told)
    check_bfloat16(told)
    assert (told["engine"], told["together"]) == ("torch", 2)
    assert told["images_per_s_together_fp32"] > 0
    assert told["images_per_s_together_bf16"] > 0
    assert "no instructions" not in said


def test_what_is_not_bfloat16_is_not_called_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cpu_multiplies_bfloat16", lambda: False)
    shorter = ["--members", "1", "--views", "1", "--count", "1"]
    told, said = run(capsys, "--engine", "torch", *shorter)
    assert {value for name, value in told.items() if "bf16" in name} == {None}
    assert told.keys() >= OF_BFLOAT16
    assert "no instructions for bfloat16" in said


def test_a_figure_of_float32_has_its_like_in_bfloat16_or_none() -> None:
    told = figures.complete({"a_fp32": 1, "a_bf16": 2, "b_fp32_s": 3, "threads": 4})
    assert told == {
        "a_fp32": 1,
        "a_bf16": 2,
        "b_fp32_s": 3,
        "b_bf16_s": None,
        "threads": 4,
        "anchor_ms": None,
    }


def test_a_workers_model_is_loaded_where_the_benchmark_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that the rest does not use is hidden from it."""
    hidden = []

    def child(command: list[str], env: dict[str, str], **_: object) -> object:
        hidden.append(env.get("CUDA_VISIBLE_DEVICES"))
        assert command[2:] == ["benchmarks.product_load", *map(str, (tmp_path, tmp_path)), "auto"]
        told = json.dumps(
            {"ready_at": product_load.time.monotonic() + 5, "peak_memory": 2**21}
            | {"asks": "openvino-float32"}
        )
        return subprocess.CompletedProcess(command, 0, f"a warning\n{told}\n")

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setattr(subprocess, "run", child)
    told = [product_load.measure(tmp_path, tmp_path, "auto", where) for where in ("cpu", "cuda")]
    assert hidden == ["", "3"]
    assert told[0]["product_load_s"] == pytest.approx(5, abs=4)
    assert told[0]["product_memory_mb"] == 2
    assert told[0]["product_asks"] == "openvino-float32"


def test_workers_beside_one_another_are_counted_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "SECONDS", 1.0)
    folder = tiny.write(tmp_path / "bundle", members=2, segmenter_bias=0.5)
    told = workers.saturate(folder, tmp_path / "cache", "auto", "cpu", workers=2, number=2)
    assert told["workers"] == 2
    assert told["images_per_s_of_workers"] > 0


def test_a_worker_that_does_not_come_up_is_no_figure(tmp_path: Path) -> None:
    with pytest.raises(workers.WorkerError, match="ended before"):
        workers.saturate(tmp_path, tmp_path, "auto", "cpu", workers=2, number=1)


def test_a_workers_model_that_does_not_load_is_no_figure(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        product_load.measure(tmp_path, tmp_path, "auto", "cpu")


def test_drawn_photos_differ_and_are_the_same_next_time() -> None:
    first, again = photos.draw_photos(3), photos.draw_photos(3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1])


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no \.jpg"):
        inference.main(["--photos", str(tmp_path)])


def test_a_gpu_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no GPU"):
        inference.main(["--device", "cuda"])


def test_openvino_is_not_asked_for_on_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        inference.main(["--device", "cuda", "--engine", "openvino"])
    assert "OpenVINO runs on the CPU only" in capsys.readouterr().err
