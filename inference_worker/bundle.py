"""A model bundle on disk: `bundle.json` and the weight files that it pins by SHA-256.

Nothing is loaded that the manifest does not pin, and no weight is parsed before it was hashed.
Weights are safetensors: there is no pickle anywhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import safetensors.torch
import torch

from inference_worker import typed
from inference_worker.architectures import (
    ArchitectureError,
    build_classifier,
    build_head,
    build_segmenter,
)
from inference_worker.manifest import Manifest, Member, WeightFile
from inference_worker.storage import pack
from inference_worker.weights import (
    MANIFEST,
    BundleError,
    BundleSchemaError,
    ChangedFileError,
    MissingFileError,
    OutsideFolderError,
    WeightsError,
    fill,
    inside,
    read,
    read_verified,
    statistics_of,
    tensors_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from inference_worker.architectures import Classifier, Head
    from inference_worker.ood import Statistics
    from inference_worker.storage import Storage

__all__ = [
    "MANIFEST",
    "Bundle",
    "BundleError",
    "BundleSchemaError",
    "ChangedFileError",
    "MissingFileError",
    "OutsideFolderError",
    "Verified",
    "WeightsError",
    "load",
    "load_manifest",
    "verify",
    "verify_and_open",
    "write_manifest",
    "write_weights",
]

_FIRST: Final = re.compile(r"head\.(\d+)\.weight")


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

    @property
    def heads(self) -> Sequence[Head]:
        """Return the members, each of which is its own head."""
        return self.members

    @property
    def device(self) -> torch.device:
        """Return where the weights are."""
        return next(self.members[0].parameters()).device

    def member(self, number: int) -> Classifier:
        """Return one member."""
        return self.members[number]

    def networks(self) -> Bundle:
        """Return the bundle with its networks: itself."""
        return self


@dataclass(frozen=True, slots=True)
class Verified:
    """A bundle whose every file was checked; of its networks only the members' heads are built.

    Where converted networks are at hand a worker needs no more, and starts in less time and memory.
    What is read later is checked again, against the manifest that is in memory.
    """

    folder: Path
    manifest: Manifest
    sha256: str
    heads: tuple[Head, ...]
    ood: Statistics | None
    device: torch.device

    def member(self, number: int) -> Classifier:
        """Read and build one member; nothing keeps it. Raises a `BundleError`."""
        classifier = self.manifest.classifier
        member = classifier.members[number]
        with _named(self.folder):
            network = build_classifier(classifier.architecture_of(member), len(classifier.outputs))
        content = read_verified(self.folder, member)
        fill(network, tensors_of(content, member.file), member.file, self.device)
        return network

    def networks(self) -> Bundle:
        """Read and build every network; nothing here keeps them. Raises a `BundleError`."""
        members = tuple(self.member(n) for n in range(len(self.manifest.classifier.members)))
        segmenter = self._segmenter()
        return Bundle(self.folder, self.manifest, self.sha256, members, segmenter, self.ood)

    def _segmenter(self) -> nn.Module | None:
        described = self.manifest.segmenter
        if described is None:
            return None
        with _named(self.folder):
            unet = build_segmenter(described.architecture)
        content = read_verified(self.folder, described)
        fill(unet, tensors_of(content, described.file), described.file, self.device)
        return unet


def load(folder: Path, *, device: torch.device | None = None) -> Bundle:
    """Verify and load the bundle in `folder` on `device` (the CPU by default).

    Raises a `BundleError` that names the file and the remedy.
    """
    return verify_and_open(folder, device=device).networks()


def verify_and_open(folder: Path, *, device: torch.device | None = None) -> Verified:
    """Verify the bundle in `folder`, and build its heads on `device` (the CPU by default).

    Raises a `BundleError` that names the file and the remedy.
    """
    device = device or torch.device("cpu")
    manifest, sha256 = load_manifest(folder)
    heads = tuple(_head(folder, manifest, member, device) for member in manifest.classifier.members)
    described = manifest.ood
    ood = statistics_of(read_verified(folder, described), described.file) if described else None
    if manifest.segmenter is not None:
        read_verified(folder, manifest.segmenter)
    return Verified(Path(folder), manifest, sha256, heads, ood, device)


def load_manifest(folder: Path) -> tuple[Manifest, str]:
    """Return what `bundle.json` says and the SHA-256 of its bytes; no weight file is opened.

    Raises `MissingFileError`, `BundleSchemaError`.
    """
    content = read(Path(folder), MANIFEST)
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
        read_verified(folder, pinned)
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
    inside(folder, file).write_bytes(content)
    return WeightFile(file, hashlib.sha256(content).hexdigest())


def write_manifest(folder: Path, manifest: Manifest) -> str:
    """Write `bundle.json`, whose weight files must lie beside it; return its SHA-256.

    Raises a `BundleError` where a pinned file is missing or another.
    """
    for pinned in manifest.files:
        read_verified(folder, pinned)
    text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    content = text.encode()
    unfinished = folder / f"{MANIFEST}.tmp"
    unfinished.write_bytes(content)
    unfinished.replace(folder / MANIFEST)
    return hashlib.sha256(content).hexdigest()


def _head(folder: Path, manifest: Manifest, member: Member, device: torch.device) -> Head:
    """Build a member's head; how many channels it takes, its first weights say."""
    tensors = tensors_of(read_verified(folder, member), member.file, "head.")
    shapes = ((_FIRST.fullmatch(name), tensor.shape) for name, tensor in tensors.items())
    widths = {int(layer[1]): shape[-1] for layer, shape in shapes if layer and shape}
    if not widths:
        raise WeightsError(f"{member.file} does not fit the network of {MANIFEST}: it has no head")
    classifier = manifest.classifier
    channels = widths[min(widths)]
    with _named(folder):
        head = build_head(classifier.architecture_of(member), channels, len(classifier.outputs))
    fill(head, tensors, member.file, device)
    return head


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Let what cannot be built be the manifest's fault."""
    try:
        yield
    except ArchitectureError as error:
        raise BundleSchemaError(f"{MANIFEST} in {folder}: {error}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")
