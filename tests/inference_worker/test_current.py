"""The pipeline that a process keeps: loaded once, warm, on the engine that was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from inference_worker import pipeline
from inference_worker.bundle import MissingFileError, verify_and_open
from inference_worker.engine_options import Options
from inference_worker.errors import OutOfMemoryError
from inference_worker.openvino_engine import OpenVinoNetwork
from tests.inference_worker import tiny
from tests.inference_worker.drawing import photo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("bundle"), segmenter_bias=0.5, ood_limit=1e6)


def test_warm_it_compiles_nothing_at_its_first_photo(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = pipeline.current(folder, Options("openvino", "float32", tmp_path))
    ready.warm()

    def refuse(_network: object, shape: tuple[int, ...]) -> None:
        raise AssertionError(f"compiled for {shape}")

    monkeypatch.setattr(OpenVinoNetwork, "_compile", refuse)
    assert ready.run(photo()).classification is not None


def test_a_warm_up_that_failed_is_made_again_and_one_that_succeeded_is_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pipeline.Pipeline(verify_and_open(folder))
    runs: list[bool] = []

    def run(*_: object, always_classify: bool) -> None:
        runs.append(always_classify)
        if len(runs) == 1:
            raise OutOfMemoryError

    monkeypatch.setattr(made, "run", run)
    with pytest.raises(OutOfMemoryError):
        made.warm()
    made.warm()
    made.warm()
    assert len(runs) == 2


def test_openvino_by_name_is_the_cpu_also_beside_a_gpu(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    found = pipeline.current(folder, Options("openvino", "float32", tmp_path))
    assert found.run(photo()).classification is not None


def test_a_bundle_is_loaded_once_a_process(folder: Path) -> None:
    first = pipeline.current(folder)
    assert pipeline.current(Path(str(folder) + "/.")) is first


def test_a_bundle_that_failed_to_load_is_tried_again(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path, members=1)
    hidden = folder / "member-0.safetensors"
    content = hidden.read_bytes()
    hidden.unlink()
    with pytest.raises(MissingFileError):
        pipeline.current(folder)
    hidden.write_bytes(content)
    assert pipeline.current(folder).run(photo()).classification is not None
