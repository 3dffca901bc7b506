"""Every engine against plain PyTorch on the same weights and photos."""

from __future__ import annotations

import dataclasses
import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from inference_worker import engines, ensemble, known_views, openvino_cache, tasks
from inference_worker.bundle import (
    Bundle,
    BundleError,
    ChangedFileError,
    MissingFileError,
    Verified,
    load,
    verify_and_open,
)
from inference_worker.engine_options import parse
from inference_worker.engines import Engines, Rung
from inference_worker.openvino_engine import OpenVinoNetwork
from inference_worker.pipeline import Pipeline
from inference_worker.views import plan
from tests.inference_worker import drawing, tiny
from tests.inference_worker.drawing import photo
from tests.inference_worker.moved import Shifted

ROOT = Path(__file__).parents[2]
EVERY = ["openvino-float32", "openvino-bfloat16", "torch-float32", "torch-bfloat16"]


@pytest.fixture(autouse=True)
def _cpu_with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every ladder be built; a CPU without its instructions computes this one in float32."""
    monkeypatch.setattr(engines, "cpu_multiplies_bfloat16", lambda: True)


def views(count: int = 8) -> torch.Tensor:
    return torch.randn(count, 3, tiny.SIDE, tiny.SIDE, generator=torch.Generator().manual_seed(3))


def ladder(bundle: Bundle | Verified, name: str, cache: Path) -> Engines:
    return engines.build(bundle, parse(name, cache=cache))


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("name", EVERY)
def test_logits_and_feature_map_are_those_of_the_plain_pass(
    bundle: Bundle, cache: Path, name: str, count: int
) -> None:
    relative = 0.15 if name.endswith("16") else 1e-4
    fast = ladder(bundle, name, cache).ladder[0]
    assert fast.name == name
    for engine, reference in zip(
        fast.members, engines.plain(bundle).ladder[0].members, strict=True
    ):
        logits, features = engine.forward(views(count))
        plain_logits, plain_features = reference.forward(views(count))
        pairs = (logits, plain_logits), (features[:1], plain_features[:1])
        for found, expected in pairs:
            assert found.dtype == torch.float32
            assert found.shape == expected.shape
            assert (found - expected).abs().max() <= relative * expected.abs().max()


def test_a_coarse_pass_is_set_right_by_an_exact_one_of_the_first_view(bundle: Bundle) -> None:
    exact = engines.plain(bundle).ladder[0].members[0]
    off = torch.linspace(-0.2, 0.2, 7)
    coarse = Shifted(exact, off)

    logits, features = engines.Anchored(coarse, exact).forward(views())

    expected, plain_features = exact.forward(views())
    assert (coarse.forward(views())[0] - expected).abs().max() > 0.1
    assert torch.allclose(logits, expected, atol=1e-4)
    assert torch.allclose(features, plain_features[:1], atol=1e-4)


def test_the_map_of_a_bfloat16_answer_is_that_of_float32(bundle: Bundle, cache: Path) -> None:
    fast, exact = ladder(bundle, "openvino-bfloat16", cache).ladder[:2]
    for member, reference in zip(fast.members, exact.members, strict=True):
        found, expected = member.forward(views())[1], reference.forward(views())[1][:1]
        assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_asking_again_in_float32_compiles_nothing(
    bundle: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The networks of one view, which every photo needs, see the others one after the other."""
    fast, exact = ladder(bundle, "openvino-bfloat16", cache).ladder[:2]
    for member in fast.members:
        member.forward(views())

    def refuse(_network: object, shape: tuple[int, ...]) -> None:
        raise AssertionError(f"compiled for {shape}")

    monkeypatch.setattr(OpenVinoNetwork, "_compile", refuse)
    for member, reference in zip(
        exact.members, engines.plain(bundle).ladder[0].members, strict=True
    ):
        logits, features = member.forward(views())
        plain_logits, plain_features = reference.forward(views())
        assert torch.allclose(logits, plain_logits, rtol=1e-4, atol=1e-4)
        assert torch.allclose(features, plain_features[:1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("has", "name"), [(True, "bfloat16"), (False, "float32")])
def test_left_to_the_machine_bfloat16_is_used_where_the_cpu_multiplies_it(
    bundle: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch, has: bool, name: str
) -> None:
    monkeypatch.setattr(engines, "cpu_multiplies_bfloat16", lambda: has)

    assert engines.build(bundle, parse("auto", cache=cache)).ladder[0].name == f"openvino-{name}"
    named = engines.build(bundle, parse("openvino", cache=cache))
    assert named.ladder[0].name == "openvino-float32"


def test_bfloat16_by_name_is_float32_where_the_cpu_would_only_pretend(
    bundle: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engines, "cpu_multiplies_bfloat16", lambda: False)

    rungs = ladder(bundle, "openvino-bfloat16", cache).ladder

    assert [rung.name for rung in rungs] == ["openvino-float32", "torch-float32"]
    assert "no instructions for bfloat16" in caplog.text
    assert ladder(bundle, "torch-bfloat16", cache).ladder[0].name == "torch-bfloat16"


class OnAGpu:
    """A bundle that says that it is on a GPU, and is not."""

    device = torch.device("cuda")

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def networks(self) -> Bundle:
        return self.bundle


@pytest.mark.parametrize("has", [True, False])
def test_what_a_gpu_runs_gives_the_numbers_of_the_plain_pass(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, has: bool
) -> None:
    """Channels last, and bfloat16 where the GPU has it, set right by a true float32."""
    asked: list[bool] = []
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda *, including_emulation: asked.append(including_emulation) or has,
    )
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    torch.backends.cuda.matmul.allow_tf32 = True  # False again is what is expected
    expected = [member.forward(views()) for member in engines.plain(bundle).ladder[0].members]

    rungs = engines.build(OnAGpu(load(bundle.folder)), parse("auto")).ladder

    names = ["torch-bfloat16", "torch-float32"] if has else ["torch-float32"]
    assert [rung.name for rung in rungs] == names
    assert asked == [False]
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    for rung in rungs:
        relative = 0.15 if rung.band else 1e-4
        for member, (logits, features) in zip(rung.members, expected, strict=True):
            told, map_ = member.forward(views())
            assert (told - logits).abs().max() <= relative * logits.abs().max()
            assert torch.allclose(map_[:1], features[:1], rtol=1e-3, atol=1e-3)
    (weights,) = {p.is_contiguous(memory_format=torch.channels_last) for p in _convolutions(rungs)}
    assert weights


def _convolutions(rungs: tuple[Rung, ...]) -> list[torch.Tensor]:
    return [
        weight
        for member in rungs[-1].members
        for weight in member.engine.classifier.parameters()
        if weight.ndim == 4
    ]


@pytest.mark.parametrize("name", EVERY)
def test_the_segmenter_and_the_first_member_are_exact_on_every_engine(
    bundle: Bundle, cache: Path, name: str
) -> None:
    ready, plain = ladder(bundle, name, cache), engines.plain(bundle)
    found, expected = ready.segmenter.forward(views(1)), plain.segmenter.forward(views(1))
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)
    pairs = zip(ready.first.forward(views(1)), plain.first.forward(views(1)), strict=True)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in pairs)


def test_what_an_engine_returned_is_not_overwritten_by_its_next_pass(
    bundle: Bundle, cache: Path
) -> None:
    engine = ladder(bundle, "openvino-float32", cache).ladder[0].members[0]
    logits, features = engine.forward(views())
    kept = logits.clone(), features.clone()
    engine.forward(views() * 2)
    assert torch.equal(logits, kept[0])
    assert torch.equal(features, kept[1])


@pytest.mark.parametrize("count", [1, 8])
def test_a_compiled_network_holds_neither_what_it_was_shown_nor_what_it_said(
    bundle: Bundle, cache: Path, count: int
) -> None:
    engine = ladder(bundle, "openvino-float32", cache).ladder[0].members[0]
    shown = views(count).numpy()
    expected = engine.forward(torch.from_numpy(shown))
    (request,) = engine.network._requests.values()
    told = engine.forward(torch.from_numpy(shown))
    assert all(map(torch.equal, told, expected))

    assert not np.array_equal(request.get_input_tensor(0).data, shown)
    assert not any(said.data.any() for said in request.output_tensors)
    holding = weakref.ref(shown)
    del shown
    gc.collect()
    assert holding() is None


@pytest.mark.parametrize("name", EVERY)
def test_a_ladder_ends_at_the_reference_and_its_bands_narrow(
    bundle: Bundle, cache: Path, name: str
) -> None:
    rungs = ladder(bundle, name, cache).ladder
    assert (rungs[-1].name, rungs[-1].band) == ("torch-float32", 0.0)
    bands = [rung.band for rung in rungs]
    assert bands == sorted(bands, reverse=True)


def test_a_converted_network_of_another_bundle_is_never_taken(
    bundle: Bundle, cache: Path, tmp_path: Path
) -> None:
    ladder(bundle, "openvino", cache)
    other = load(tiny.write(tmp_path, members=2, temperature=1.7))
    assert other.sha256 != bundle.sha256
    assert openvino_cache.SEGMENTER not in openvino_cache.networks(other, cache)


def test_the_end_of_a_ladder_is_read_when_it_is_asked(bundle: Bundle, cache: Path) -> None:
    opened = verify_and_open(bundle.folder)
    last = ladder(opened, "openvino-float32", cache).ladder[-1]
    for member, reference in zip(
        last.members, engines.plain(bundle).ladder[0].members, strict=True
    ):
        pairs = zip(member.forward(views()), reference.forward(views()), strict=True)
        assert all(torch.equal(found, expected) for found, expected in pairs)


def remove(path: Path) -> None:
    path.unlink()


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "error"), [(remove, MissingFileError), (change, ChangedFileError)]
)
def test_where_the_end_of_a_ladder_cannot_be_read_the_photo_fails_by_name(
    cache: Path, tmp_path: Path, spoil: Callable[[Path], None], error: type[BundleError]
) -> None:
    """It has no result then, not that of the rung before; and gets one when the file is back."""
    folder = tiny.write(tmp_path, members=2, segmenter_bias=0.5, ood_limit=1e6)
    opened = verify_and_open(folder)
    ready = ladder(opened, "openvino-float32", cache)
    near = dataclasses.replace(ready.ladder[0], band=100.0)
    model = Pipeline(opened, dataclasses.replace(ready, ladder=(near, ready.ladder[1])))
    file = folder / "member-1.safetensors"
    content = file.read_bytes()

    spoil(file)
    with pytest.raises(error, match=r"member-1\.safetensors.*copy") as told:
        model.run(photo())

    assert tasks.failure_code(told.value) == "bundle_invalid"
    file.write_bytes(content)
    found = model.run(photo()).classification
    assert found == Pipeline(load(folder)).run(photo()).classification


def anchored(bundle: Bundle) -> tuple[Engines, list[Shifted]]:
    """Return engines that lie off and are set right, and the exact ones, which count."""
    plain = engines.plain(bundle)
    members = plain.ladder[0].members
    exact = [Shifted(member, torch.zeros(7)) for member in members]
    coarse = [Shifted(member, torch.linspace(-0.2, 0.2, 7)) for member in members]
    fast = tuple(map(engines.Anchored, coarse, exact))
    rung = Rung("anchored", fast, 0.0)
    return Engines((rung,), exact[0], plain.segmenter), exact


def test_the_pass_that_the_check_of_the_distribution_made_is_not_made_again(
    bundle: Bundle,
) -> None:
    ready, exact = anchored(bundle)

    found = Pipeline(bundle, ready).run(photo())

    assert found.quality.ood_distance is not None
    assert [engine.asked for engine in exact] == [1, 1]  # by the check, and by the second's anchor
    expected = Pipeline(bundle).run(photo()).classification.probabilities
    assert found.classification.probabilities == pytest.approx(expected, abs=1e-5)


def test_what_is_known_of_another_view_sets_nothing_right(bundle: Bundle) -> None:
    ready, exact = anchored(bundle)
    told = ensemble.Told(torch.zeros(1, 7), torch.zeros(1, 1, 2, 2))
    known = ensemble.Known(views()[:1], told)

    def first_map(batch: torch.Tensor, known: ensemble.Known | None) -> torch.Tensor:
        (rung,) = known_views.remembering(ready.ladder, ready.first, known)
        return rung.members[0].forward(batch)[1]

    assert torch.equal(first_map(views(), known), told.features)
    assert exact[0].asked == 0
    for other in (first_map(views() + 1e-3, known), first_map(views(), None)):
        assert other.shape != told.features.shape
    assert exact[0].asked == 2


def test_asked_again_in_float32_a_member_sees_the_first_view_no_second_time(
    bundle: Bundle,
) -> None:
    ready, exact = anchored(bundle)
    again = Rung("again", tuple(map(engines.ViewByView, exact)), 0.0)
    ladder = (dataclasses.replace(ready.ladder[0], band=100.0), again)

    found = Pipeline(bundle, dataclasses.replace(ready, ladder=ladder)).run(photo())

    # Once for the check of the distribution or the anchor, and once for each of the other views.
    count = len(plan(bundle.manifest.views).names)
    assert [engine.asked for engine in exact] == [count, count]
    alone = Pipeline(bundle, dataclasses.replace(ready, ladder=(again,))).run(photo())
    assert found.classification == alone.classification
    assert found.heatmap == alone.heatmap


def test_what_is_known_of_one_photo_is_not_told_of_the_next(bundle: Bundle) -> None:
    ready, exact = anchored(bundle)
    pipeline = Pipeline(bundle, ready)
    pipeline.run(photo())
    asked = [engine.asked for engine in exact]
    other = pipeline.run(drawing.lesion(300, 225))
    assert [engine.asked for engine in exact] == [2 * count for count in asked]
    expected = Pipeline(bundle).run(drawing.lesion(300, 225)).classification.probabilities
    assert other.classification.probabilities == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("at_hand", [True, False])
def test_a_worker_builds_no_network_whether_converted_ones_are_at_hand_or_not(
    bundle: Bundle, cache: Path, tmp_path: Path, at_hand: bool
) -> None:
    """What it loads at its start, and keeps: neither trunks nor the libraries of trunks."""
    ladder(bundle, "openvino-bfloat16", cache)
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from inference_worker import pipeline\n"
        "from inference_worker.engine_options import parse\n"
        "options = parse('openvino-bfloat16', cache=Path(sys.argv[2]))\n"
        "model = pipeline.current(Path(sys.argv[1]), options)\n"
        "photo = np.random.default_rng(1).integers(60, 200, (96, 128, 3), np.uint8)\n"
        "verdict = model.run(photo, always_classify=True)\n"
        "heavy = {'timm', 'torchvision', 'segmentation_models_pytorch', 'pytorch_grad_cam',\n"
        "         'sklearn', 'scipy', 'matplotlib', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)), len(verdict.classification.members))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(bundle.folder), str(cache if at_hand else tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "[] 2"
