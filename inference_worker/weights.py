"""The weight files of a bundle: read, checked against their pins, and put into networks.

No weight is parsed before its file was hashed. Weights are safetensors: there is no pickle.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import safetensors
import safetensors.torch
import torch

from inference_worker.ood import Statistics
from inference_worker.storage import StorageError, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

MANIFEST: Final = "bundle.json"


class Pinned(Protocol):
    """A file of the bundle's folder by its plain name, and its SHA-256 in hex."""

    @property
    def file(self) -> str:
        """The file's name."""
        ...

    @property
    def sha256(self) -> str:
        """Its hash, 64 hex digits."""
        ...


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


# No separator of any system, no null byte, nothing hidden.
_PLAIN: Final = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


def inside(folder: Path, file: str) -> Path:
    """Return the file's path. Raises `OutsideFolderError` unless it is a plain name in `folder`."""
    path = Path(folder) / file
    if not _PLAIN.fullmatch(file) or path.resolve().parent != Path(folder).resolve():
        raise OutsideFolderError(
            f"{MANIFEST} names {file!r}, which does not lie in {folder}: use plain file names"
        )
    return path


def read(folder: Path, file: str) -> bytes:
    """Return the file's bytes. Raises `MissingFileError`, `OutsideFolderError`."""
    try:
        return inside(folder, file).read_bytes()
    except OSError as error:
        raise MissingFileError(
            f"cannot read {file} of the bundle in {folder} ({error.strerror}): copy it again"
        ) from error


def read_verified(folder: Path, pinned: Pinned) -> bytes:
    """Return the file's bytes, which are those that are pinned; raise a `BundleError` if not."""
    content = read(folder, pinned.file)
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


def tensors_of(content: bytes, file: str, prefix: str = "") -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix`, as numbers that are all finite.

    `content` is that of `file`. Raises `WeightsError`.
    """
    tensors = {n: t for n, t in _tensors(content, file).items() if n.startswith(prefix)}
    if broken := [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]:
        raise WeightsError(f"{file} holds numbers that are not finite, in {broken[0]!r}")
    try:
        return unpack(tensors)
    except StorageError as error:
        raise WeightsError(f"{file} does not fit the network of {MANIFEST}: {error}") from error


def fill(
    network: nn.Module, tensors: Mapping[str, Tensor], file: str, device: torch.device
) -> None:
    """Put the `tensors` of `file` into `network`, on `device`, for evaluation.

    Raises `WeightsError`.
    """
    try:
        network.load_state_dict(tensors)  # copies into the network's own float32
    except RuntimeError as error:
        raise WeightsError(f"{file} does not fit the network of {MANIFEST}: {error}") from error
    network.to(device).eval().requires_grad_(requires_grad=False)


def statistics_of(content: bytes, file: str) -> Statistics:
    """Return the out-of-distribution statistics in `content`, that of `file`.

    Raises `WeightsError`.
    """
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
