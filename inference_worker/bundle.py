"""A model bundle on disk: `bundle.json` and the weight files that it pins by SHA-256.

Nothing is loaded that the manifest does not pin, and no weight is parsed before it was hashed.
Weights are safetensors: there is no pickle anywhere.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import numpy as np
import safetensors
import safetensors.torch
import torch

from inference_worker import typed
from inference_worker.architectures import ArchitectureError, build_classifier, build_segmenter
from inference_worker.manifest import Manifest, WeightFile
from inference_worker.ood import Statistics
from inference_worker.storage import StorageError, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from inference_worker.architectures import Classifier
    from inference_worker.storage import Storage

MANIFEST: Final = "bundle.json"


class BundleError(ValueError):
    """The bundle cannot be used. Nothing of it is."""

    code = "bundle_invalid"


class MissingFileError(BundleError):
    """The bundle's folder lacks a file that belongs to it."""


class ChangedFileError(BundleError):
    """A weight file is not the one that `bundle.json` pins."""


class OutsideFolderError(BundleError):
    """`bundle.json` names a file that does not lie in the bundle's own folder."""


class BundleSchemaError(BundleError):
    """`bundle.json` is not what this version reads."""


class WeightsError(BundleError):
    """A weight file is intact, but does not fit what `bundle.json` describes."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle in memory, verified: its networks in float32, in evaluation mode.

    `sha256` of the bytes of `bundle.json`, which pins all the rest: the bundle's identity.
    """

    folder: Path
    manifest: Manifest
    sha256: str
    members: tuple[Classifier, ...]
    segmenter: nn.Module | None
    ood: Statistics | None


def load(folder: Path, *, device: torch.device | None = None) -> Bundle:
    """Verify and load the bundle in `folder` on `device` (the CPU by default).

    Raises a `BundleError` that names the file and the remedy.
    """
    device = device or torch.device("cpu")
    manifest, sha256 = load_manifest(folder)
    contents = {pinned.file: _verified(folder, pinned) for pinned in manifest.files}
    classifier, segmenter = manifest.classifier, manifest.segmenter
    members = []
    unet = None
    try:
        for member in classifier.members:
            network = build_classifier(classifier.architecture_of(member), len(classifier.outputs))
            _fill(network, contents[member.file], member.file, device)
            members.append(network)
        if segmenter is not None:
            unet = build_segmenter(segmenter.architecture)
            _fill(unet, contents[segmenter.file], segmenter.file, device)
    except ArchitectureError as error:
        raise BundleSchemaError(f"{MANIFEST} in {folder}: {error}") from error
    ood = _statistics(contents[manifest.ood.file], manifest.ood.file) if manifest.ood else None
    return Bundle(Path(folder), manifest, sha256, tuple(members), unet, ood)


def load_manifest(folder: Path) -> tuple[Manifest, str]:
    """Return what `bundle.json` says and the SHA-256 of its bytes; no weight file is opened.

    Raises `MissingFileError`, `BundleSchemaError`.
    """
    content = _read(Path(folder), MANIFEST)
    try:
        manifest = typed.parse(Manifest, json.loads(content, parse_constant=_refuse_constant))
    except ValueError as error:
        raise BundleSchemaError(
            f"{MANIFEST} in {folder} is not one that this version reads: {error}"
        ) from error
    return manifest, hashlib.sha256(content).hexdigest()


def verify(folder: Path) -> Manifest:
    """Check every pinned file against its hash without building a network; return the manifest.

    Raises a `BundleError`.
    """
    manifest, _ = load_manifest(folder)
    for pinned in manifest.files:
        _verified(folder, pinned)
    return manifest


def write_weights(
    folder: Path, file: str, tensors: Mapping[str, Tensor], *, kept_as: Storage = "half"
) -> WeightFile:
    """Write a weight file, its tensors as `storage.pack` keeps them; return its pin.

    Raises `WeightsError` where a number is not finite, or does not fit half precision.
    """
    stored = pack(tensors, kept_as)
    for name, tensor in stored.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(
                f"{file}: {name!r} holds a number that is not finite as {tensor.dtype}"
            )
    content = safetensors.torch.save(stored)
    folder.mkdir(parents=True, exist_ok=True)
    _inside(folder, file).write_bytes(content)
    return WeightFile(file, hashlib.sha256(content).hexdigest())


def write_manifest(folder: Path, manifest: Manifest) -> str:
    """Write `bundle.json`, whose weight files must lie beside it; return its SHA-256.

    Raises a `BundleError` where a pinned file is missing or another.
    """
    for pinned in manifest.files:
        _verified(folder, pinned)
    text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    content = text.encode()
    unfinished = folder / f"{MANIFEST}.tmp"
    unfinished.write_bytes(content)
    unfinished.replace(folder / MANIFEST)
    return hashlib.sha256(content).hexdigest()


def _inside(folder: Path, file: str) -> Path:
    """Return the file's path. Raises `OutsideFolderError` unless it is a plain name in `folder`."""
    path = Path(folder) / file
    if Path(file).name != file or path.resolve().parent != Path(folder).resolve():
        raise OutsideFolderError(
            f"{MANIFEST} names {file!r}, which does not lie in {folder}: use plain file names"
        )
    return path


def _read(folder: Path, file: str) -> bytes:
    try:
        return _inside(folder, file).read_bytes()
    except OSError as error:
        raise MissingFileError(
            f"cannot read {file} of the bundle in {folder} ({error.strerror}): copy it again"
        ) from error


def _verified(folder: Path, pinned: WeightFile) -> bytes:
    content = _read(folder, pinned.file)
    found = hashlib.sha256(content).hexdigest()
    if found != pinned.sha256:
        raise ChangedFileError(
            f"{pinned.file} in {folder} has SHA-256 {found[:12]}…, {MANIFEST} pins "
            f"{pinned.sha256[:12]}…: copy the bundle again"
        )
    return content


def _tensors(content: bytes, file: str) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise WeightsError(f"{file} is not a safetensors file: {error}") from error


def _fill(network: nn.Module, content: bytes, file: str, device: torch.device) -> None:
    tensors = _tensors(content, file)
    if broken := [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]:
        raise WeightsError(f"{file} holds numbers that are not finite, in {broken[0]!r}")
    try:
        network.load_state_dict(unpack(tensors))  # copies into the network's own float32
    except (RuntimeError, StorageError) as error:
        raise WeightsError(f"{file} does not fit the network of {MANIFEST}: {error}") from error
    network.to(device).eval().requires_grad_(requires_grad=False)


def _statistics(content: bytes, file: str) -> Statistics:
    tensors = _tensors(content, file)
    wanted = {"mean", "components", "variance", "residual_variance"}
    if set(tensors) != wanted:
        raise WeightsError(f"{file} holds {sorted(tensors)}, expected {sorted(wanted)}")
    arrays = {name: np.asarray(tensor.double().numpy()) for name, tensor in tensors.items()}
    k, d = np.atleast_2d(arrays["components"]).shape
    shapes = (arrays["mean"].shape, arrays["variance"].shape, arrays["residual_variance"].shape)
    if shapes != ((d,), (k,), (1,)):
        raise WeightsError(f"the shapes in {file} do not fit: {shapes} beside {k} × {d}")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise WeightsError(f"{file} holds numbers that are not finite")
    if (arrays["variance"] <= 0).any() or (arrays["residual_variance"] <= 0).any():
        raise WeightsError(f"{file} holds a variance that is not positive")
    return Statistics(
        mean=arrays["mean"],
        components=arrays["components"],
        variance=arrays["variance"],
        residual_variance=float(arrays["residual_variance"][0]),
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")
