"""The benchmark itself on a small network: its reference, its figures, its last line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import inference, machine, material, naive, photos
from inference_worker.bundle import load
from inference_worker.pipeline import Pipeline

SMALL = ["--arch", "mobilenetv2_050", "--members", "2", "--side", "64", "--count", "2"]
ASKED_FOR = {
    *("speedup_fp32", "speedup_bf16", "share_of_matmul_fp32", "share_of_matmul_bf16"),
    "max_abs_probability_difference_fp32",
    "max_abs_probability_difference_bf16",
}


def test_the_last_line_is_one_object_with_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert inference.main([*SMALL, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told.keys() >= ASKED_FOR
    assert all(told[name] > 0 for name in ASKED_FOR if "difference" not in name)
    assert told["max_abs_probability_difference_fp32"] <= 1e-4
    assert told["max_abs_probability_difference_bf16"] <= 1e-2
    assert told["max_abs_heatmap_difference_fp32"] <= 1e-3
    assert told["categories_changed_fp32"] == told["categories_changed_bf16"] == 0
    assert told["photos"] == 2


def test_the_plain_reference_and_the_pipeline_agree(tmp_path: object) -> None:
    folder = material.write_bundle(tmp_path, "mobilenetv2_050", members=2, side=64, views=9)
    bundle = load(folder)
    pixels = photos.draw_photos(1)[0]
    answer = naive.judge(bundle, pixels)
    said = Pipeline(bundle).run(pixels, always_classify=True).classification
    assert answer.p_malignant == pytest.approx(said.p_malignant, abs=1e-5)
    assert answer.probabilities == pytest.approx(list(said.probabilities.values()), abs=1e-5)
    assert [cam.shape for cam in answer.cams] == [(64, 64)] * 2


def test_drawn_photos_differ_and_are_the_same_next_time() -> None:
    first, again = photos.draw_photos(3), photos.draw_photos(3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1])


def test_a_multiplication_and_an_addition_are_two_operations() -> None:
    assert machine.flops(nn.Linear(10, 5, bias=False), torch.zeros(3, 10)) == 2 * 3 * 10 * 5


def test_a_folder_without_photos_is_refused(tmp_path: object) -> None:
    with pytest.raises(SystemExit, match=r"no \.jpg"):
        inference.main(["--photos", str(tmp_path)])
