from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inference_worker import bundle, manifest, storage
from inference_worker.architectures import build_classifier
from inference_worker.verdict import CLASSES
from tests.inference_worker import tiny

OOD = {
    "mean": torch.zeros(4),
    "components": torch.eye(4)[:2],
    "variance": torch.ones(2),
    "residual_variance": torch.ones(1),
}


def describe(
    members: tuple[manifest.Member, ...],
    class_map: dict[str, tuple[str, ...]] = tiny.SEVEN_MAP,
    **parts: Any,
) -> manifest.Manifest:
    """Return the manifest of seven-class members."""
    classifier = manifest.Classifier(
        architecture=tiny.CLASSIFIER,
        members=members,
        outputs=CLASSES,
        activation="softmax",
        class_map=class_map,
        input=manifest.Input(size=tiny.SIDE),
    )
    return manifest.Manifest(
        schema_version=1,
        name="tiny",
        version="0.1.0",
        licence="Apache-2.0",
        created="2026-01-01",
        intended_use="tests",
        classifier=classifier,
        preprocessing=(manifest.Step("hair", {"threshold": 12}),),
        views=tiny.NINE,
        temperature=1.5,
        gate=manifest.Gate(),
        quality=manifest.Quality(),
        **parts,
    )


def write(folder: Path, *, members: int = 2) -> manifest.Manifest:
    """Write a small whole bundle: two members, a segmenter and OOD statistics."""
    pins = [
        bundle.write_weights(folder, f"member-{i}.safetensors", tiny.member(i).state_dict())
        for i in range(members)
    ]
    unet = bundle.write_weights(folder, "segmenter.safetensors", tiny.segmenter().state_dict())
    ood = bundle.write_weights(folder, "ood.safetensors", OOD, kept_as="float32")
    described = describe(
        tuple(manifest.Member(pin.file, pin.sha256, seed) for seed, pin in enumerate(pins)),
        segmenter=manifest.Segmenter(
            unet.file, unet.sha256, tiny.SEGMENTER, manifest.Input(size=tiny.SIDE)
        ),
        ood=manifest.Ood("mahalanobis", ood.file, ood.sha256, limit=1.5),
    )
    bundle.write_manifest(folder, described)
    return described


def edit(folder: Path, change: dict[str, Any]) -> None:
    """Change top-level values of bundle.json."""
    path = folder / bundle.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def test_a_bundle_comes_back_as_it_was_written(tmp_path: Path) -> None:
    described = write(tmp_path)

    loaded = bundle.load(tmp_path)

    assert loaded.manifest == described
    assert len(loaded.members) == 2
    assert loaded.segmenter is not None
    assert loaded.ood is not None
    assert loaded.ood.distance(np.full(4, 2.0)) == pytest.approx(2.0)
    assert not any(m.training for m in loaded.members)


def test_a_member_may_have_an_architecture_of_its_own(tmp_path: Path) -> None:
    described = write(tmp_path)
    other = manifest.ClassifierSpec("mobilenetv2_035")
    network = build_classifier(other, len(described.classifier.outputs))
    pinned = bundle.write_weights(tmp_path, "member-1.safetensors", network.state_dict())
    first, _ = described.classifier.members
    members = (first, manifest.Member(pinned.file, pinned.sha256, 2, other))
    classifier = replace(described.classifier, members=members)
    bundle.write_manifest(tmp_path, replace(described, classifier=classifier))

    loaded = bundle.load(tmp_path)

    assert loaded.manifest.classifier.architecture_of(members[1]) == other
    counts = [sum(p.numel() for p in member.parameters()) for member in loaded.members]
    assert counts[1] < counts[0]


def test_weights_are_stored_in_half_precision_and_run_in_single(tmp_path: Path) -> None:
    write(tmp_path)
    original = tiny.member(0).state_dict()

    restored = bundle.load(tmp_path).members[0].state_dict()

    for name, tensor in original.items():
        if tensor.dtype.is_floating_point:
            assert restored[name].dtype is torch.float32
            assert torch.equal(restored[name], tensor.half().float())
    assert (tmp_path / "member-0.safetensors").stat().st_size < 2.2 * sum(
        tensor.numel() for tensor in original.values()
    )


def test_weights_may_be_stored_as_integers_and_run_in_single(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "SMALL", 1)  # all layers of so small a network are small
    described = write(tmp_path)
    original = tiny.member(0).state_dict()
    half = (tmp_path / "member-0.safetensors").stat().st_size
    _put_first(tmp_path, described, storage.pack(original, "int8"))

    restored = bundle.load(tmp_path).members[0].state_dict()

    assert (tmp_path / "member-0.safetensors").stat().st_size < 0.75 * half
    for name, tensor in original.items():
        if tensor.dtype.is_floating_point:
            assert restored[name].dtype is torch.float32
            torch.testing.assert_close(restored[name], tensor, rtol=0.01, atol=0.02)


def test_integers_without_their_scales_are_refused(tmp_path: Path) -> None:
    described = write(tmp_path)
    stored = storage.pack(tiny.member(0).state_dict(), "int8")
    lost = next(name for name in stored if name.endswith(storage.SCALE))
    _put_first(tmp_path, described, {k: v for k, v in stored.items() if k != lost})

    with pytest.raises(bundle.WeightsError, match="scale_of_rows"):
        bundle.load(tmp_path)


def _put_first(folder: Path, described: manifest.Manifest, stored: dict[str, torch.Tensor]) -> None:
    """Put `stored` as they are in the place of the first member's weights."""
    file = "member-0.safetensors"
    pinned = bundle.write_weights(folder, file, stored, kept_as="float32")
    first, *rest = described.classifier.members
    members = (replace(first, sha256=pinned.sha256), *rest)
    classifier = replace(described.classifier, members=members)
    bundle.write_manifest(folder, replace(described, classifier=classifier))


HEADS = {
    "linear": tiny.CLASSIFIER,
    "norm_linear": replace(tiny.CLASSIFIER, head="norm_linear"),
    "mlp": replace(tiny.CLASSIFIER, head="mlp", hidden=(24,), hidden_dropout=(0.3,)),
    "stack": replace(tiny.CLASSIFIER, head="stack", layers=("relu", "batch_norm", "linear 9")),
}


@pytest.mark.parametrize("kept_as", ["half", "int8"])
@pytest.mark.parametrize("head", HEADS)
def test_a_head_read_alone_is_that_of_its_member(
    tmp_path: Path, head: str, kept_as: storage.Storage
) -> None:
    described = write(tmp_path)
    torch.manual_seed(5)
    state = build_classifier(HEADS[head], len(CLASSES)).state_dict()
    pinned = bundle.write_weights(tmp_path, "member-1.safetensors", state, kept_as=kept_as)
    first, _ = described.classifier.members
    members = (first, manifest.Member(pinned.file, pinned.sha256, 1, HEADS[head]))
    classifier = replace(described.classifier, members=members)
    bundle.write_manifest(tmp_path, replace(described, classifier=classifier))

    opened = bundle.verify_and_open(tmp_path)

    for alone, member in zip(opened.heads, bundle.load(tmp_path).members, strict=True):
        features = torch.rand(2, member.channels, 2, 2)
        assert torch.equal(alone.forward_head(features), member.forward_head(features))
        assert torch.equal(alone.forward_pooled(features), member.forward_pooled(features))
        assert sum(p.numel() for p in alone.parameters()) * 10 < sum(
            p.numel() for p in member.parameters()
        )


def test_a_network_that_is_read_later_is_still_the_one_that_was_pinned(tmp_path: Path) -> None:
    write(tmp_path)
    opened = bundle.verify_and_open(tmp_path)
    expected = bundle.load(tmp_path).members[1].state_dict()
    assert all(torch.equal(t, expected[n]) for n, t in opened.member(1).state_dict().items())

    bundle.write_weights(tmp_path, "member-1.safetensors", tiny.member(7).state_dict())

    with pytest.raises(bundle.ChangedFileError, match="member-1"):
        opened.member(1)
    with pytest.raises(bundle.ChangedFileError, match="member-1"):
        opened.networks()


def test_a_member_without_a_head_is_refused(tmp_path: Path) -> None:
    described = write(tmp_path)
    state = tiny.member(0).state_dict()
    trunk = {name: tensor for name, tensor in state.items() if name.startswith("trunk.")}
    _put_first(tmp_path, described, storage.pack(trunk, "half"))

    with pytest.raises(bundle.WeightsError, match=r"member-0.*no head"):
        bundle.verify_and_open(tmp_path)


def test_the_identity_changes_with_any_byte_of_the_manifest(tmp_path: Path) -> None:
    write(tmp_path)
    before = bundle.load_manifest(tmp_path)[1]

    edit(tmp_path, {"version": "0.1.1"})

    assert bundle.load_manifest(tmp_path)[1] != before


@pytest.mark.parametrize(
    "file",
    ["member-0.safetensors", "member-1.safetensors", "segmenter.safetensors", "ood.safetensors"],
)
def test_one_changed_byte_of_a_weight_file_is_refused(tmp_path: Path, file: str) -> None:
    write(tmp_path)
    content = bytearray((tmp_path / file).read_bytes())
    content[-1] ^= 1
    (tmp_path / file).write_bytes(content)

    for reading in (bundle.load, bundle.verify_and_open):
        with pytest.raises(bundle.ChangedFileError, match=file):
            reading(tmp_path)
    with pytest.raises(bundle.ChangedFileError, match=file):
        bundle.verify(tmp_path)


@pytest.mark.parametrize("file", ["bundle.json", "member-1.safetensors", "ood.safetensors"])
def test_a_missing_file_is_named(tmp_path: Path, file: str) -> None:
    write(tmp_path)
    (tmp_path / file).unlink()

    with pytest.raises(bundle.MissingFileError, match=file):
        bundle.load(tmp_path)


@pytest.mark.parametrize(
    "file", ["../member-0.safetensors", "/etc/hostname", "deep/er.safetensors"]
)
def test_a_file_outside_the_folder_is_never_opened(tmp_path: Path, file: str) -> None:
    write(tmp_path / "inner")
    plain = json.loads((tmp_path / "inner" / bundle.MANIFEST).read_text())
    plain["classifier"]["members"][0]["file"] = file

    edit(tmp_path / "inner", plain)

    with pytest.raises(bundle.OutsideFolderError):
        bundle.load(tmp_path / "inner")


def test_a_link_that_leads_out_of_the_folder_is_never_followed(tmp_path: Path) -> None:
    write(tmp_path / "inner")
    inside = tmp_path / "inner" / "member-0.safetensors"
    inside.rename(tmp_path / "elsewhere.safetensors")
    inside.symlink_to(tmp_path / "elsewhere.safetensors")

    with pytest.raises(bundle.OutsideFolderError):
        bundle.load(tmp_path / "inner")


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"colour": "blue"},
        {"temperature": 0.0},
        {"views": []},
        {"gate": {"active": "risk_controlled"}},
    ],
)
def test_a_manifest_of_another_shape_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    write(tmp_path)
    edit(tmp_path, change)

    with pytest.raises(bundle.BundleSchemaError):
        bundle.load_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"temperature": NaN}'])
def test_what_is_no_manifest_at_all_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / bundle.MANIFEST).write_text(text)

    with pytest.raises(bundle.BundleSchemaError):
        bundle.load_manifest(tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    described = write(tmp_path)
    pinned = bundle.write_weights(tmp_path, "member-1.safetensors", tiny.member(1, 2).state_dict())
    members = (described.classifier.members[0], manifest.Member(pinned.file, pinned.sha256, 1))
    bundle.write_manifest(
        tmp_path, replace(described, classifier=replace(described.classifier, members=members))
    )

    with pytest.raises(bundle.WeightsError, match=r"member-1\.safetensors"):
        bundle.load(tmp_path)


def test_statistics_with_a_variance_of_nothing_are_refused(tmp_path: Path) -> None:
    described = write(tmp_path)
    pinned = bundle.write_weights(
        tmp_path, "ood.safetensors", OOD | {"variance": torch.zeros(2)}, kept_as="float32"
    )
    assert described.ood is not None
    bundle.write_manifest(
        tmp_path, replace(described, ood=replace(described.ood, sha256=pinned.sha256))
    )

    with pytest.raises(bundle.WeightsError, match="variance"):
        bundle.load(tmp_path)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e6])
def test_a_number_that_half_precision_cannot_hold_is_never_written(
    tmp_path: Path, number: float
) -> None:
    with pytest.raises(bundle.WeightsError, match="weight"):
        bundle.write_weights(tmp_path, "member-0.safetensors", {"weight": torch.tensor([number])})


def test_weights_that_are_not_finite_are_refused_though_the_hash_agrees(tmp_path: Path) -> None:
    described = write(tmp_path)
    state = tiny.member(1).state_dict()
    state["head.1.bias"] = torch.full_like(state["head.1.bias"], float("nan"))
    import hashlib

    import safetensors.torch

    content = safetensors.torch.save(state)
    (tmp_path / "member-1.safetensors").write_bytes(content)
    broken = manifest.Member("member-1.safetensors", hashlib.sha256(content).hexdigest(), 1)
    members = (described.classifier.members[0], broken)
    bundle.write_manifest(
        tmp_path, replace(described, classifier=replace(described.classifier, members=members))
    )

    with pytest.raises(bundle.WeightsError, match="not finite"):
        bundle.load(tmp_path)


def test_a_manifest_is_not_written_beside_other_weights(tmp_path: Path) -> None:
    described = write(tmp_path)
    bundle.write_weights(tmp_path, "member-0.safetensors", tiny.member(7).state_dict())

    with pytest.raises(bundle.ChangedFileError):
        bundle.write_manifest(tmp_path, described)


@pytest.mark.parametrize(
    "class_map",
    [{"mel": ("mel",)}, {"malignant": ("no_such",)}, {"wart": ("mel",)}],
)
def test_a_class_map_that_gives_no_p_malignant_is_refused(
    class_map: dict[str, tuple[str, ...]],
) -> None:
    with pytest.raises(ValueError, match="class_map"):
        describe((manifest.Member("a", "0" * 64, 1),), class_map, ood=None, segmenter=None)
