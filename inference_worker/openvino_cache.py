"""Networks as OpenVINO reads them, converted once a bundle and kept on disk.

A folder a bundle, named by its hash and OpenVINO's version, with a list of the files' hashes. What
does not match its list, or lacks one, is made again. What no worker has read for long is removed
(`inference_worker.cache_cleaning`). The weights stay float32: they hold folded
batch norms, which half precision would round.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import shutil
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from inference_worker.bundle import Verified
from inference_worker.cache_cleaning import UNFINISHED, clean, mark_used
from inference_worker.conversion import convert_apart
from inference_worker.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inference_worker.bundle import Bundle

SUMS: Final = "sums.json"
SEGMENTER: Final = "segmenter"
_ONE: Final = threading.Lock()
_LAYOUT: Final = 2
"""Of what is written: networks of another number are not read."""
_OF_A_MAP: Final = 4  # axes
_HASH: Final = 32  # digits of the bundle's that its folder bears
_OF_VERSION: Final = "-openvino-"
_MAPPED_FROM: Final = "mapped_from"
"""Where a model says of itself which file its weights are mapped from."""
logger = logging.getLogger(__name__)


class DamagedCacheError(Exception):
    """The folder does not hold what its list says: make it again."""


class WithMap(nn.Module):
    """A classifier that returns logits and feature map together."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier: Any = classifier

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits, n × outputs, and the feature map of `x`, n × 3 × side × side."""
        features = self.classifier.forward_features(x)
        return self.classifier.forward_head(features), features


def runtime() -> Any:
    """Return the openvino module, kept from reporting its use to its maker.

    Importing it starts a sender unless its telemetry package is absent; a clinic's computer tells
    nobody what it runs.
    """
    cast("dict[str, object]", sys.modules).setdefault("openvino_telemetry", None)
    import openvino

    return openvino


def core() -> Any:
    """Return the one `openvino.Core` of this process, which is never dropped.

    Each puts up a stack for signals in the thread that first compiles with it, and takes it away
    when it is dropped, also where another one has come to rely on it meanwhile: the next signal in
    that thread, such as Celery's of the soft time limit, then ends the process without a word.
    """
    with _ONE:
        return _core()


@functools.cache
def _core() -> Any:
    return runtime().Core()


def member_names(count: int) -> list[str]:
    """Return what the networks of so many members are called, in their order."""
    return [f"member-{number}" for number in range(count)]


def networks(bundle: Bundle | Verified, cache: Path | None) -> dict[str, Any]:
    """Return the bundle's networks as `openvino.Model`s: `member-0` …, and `segmenter`.

    They come from `cache` where it holds them intact, else they are converted and put there: in a
    process of its own where the bundle's networks are not built here yet.
    Raises `ConversionError`, of which `ConversionTimeoutError` is one, and the `BundleError` of a
    network that cannot be built.
    """
    if cache is None:
        return _convert(bundle.networks())
    folder = Path(cache) / name(bundle)
    found = _kept(bundle, folder)
    clean(folder.parent, keep=folder)
    return found


def _kept(bundle: Bundle | Verified, folder: Path) -> dict[str, Any]:
    """Return what is in `folder`, made and put there where it is not."""
    try:
        return read(folder)
    except FileNotFoundError:
        logger.info("converting the bundle for OpenVINO, once; it is kept in %s", folder)
    except DamagedCacheError as error:
        logger.warning("converting the bundle for OpenVINO again: %s", error)
        shutil.rmtree(folder, ignore_errors=True)
    if isinstance(bundle, Verified) and convert_apart(bundle.folder, folder.parent):
        try:
            return read(folder)
        except (FileNotFoundError, DamagedCacheError) as error:
            logger.warning("no converted bundle in %s (%s): converting it here", folder, error)
    converted = _convert(bundle.networks())
    try:
        write(folder, converted, {})
    except OSError as error:
        logger.warning("cannot keep the converted bundle in %s (%s)", folder, error)
    for outdated in folder.parent.glob(f"{folder.name.partition(_OF_VERSION)[0]}{_OF_VERSION}*"):
        if outdated != folder:  # of another version of OpenVINO
            shutil.rmtree(outdated, ignore_errors=True)
    return converted


def name(bundle: Bundle | Verified) -> str:
    """Return what the folder of the bundle's networks is called, for this version of OpenVINO."""
    version = runtime().__version__.split("-")[0]
    return f"{bundle.sha256[:_HASH]}{_OF_VERSION}{version}-{_LAYOUT}"


def weights_of(model: Any) -> Path | None:
    """Return the file that the weights of `model` are mapped from; None for those in memory."""
    return Path(model.get_rt_info(_MAPPED_FROM).value) if model.has_rt_info(_MAPPED_FROM) else None


def _convert(bundle: Bundle) -> dict[str, Any]:
    side = bundle.manifest.classifier.input.size
    named = zip(member_names(len(bundle.members)), bundle.members, strict=True)
    parts: dict[str, tuple[nn.Module, int]] = {
        name: (WithMap(member), side) for name, member in named
    }
    if bundle.segmenter is not None and bundle.manifest.segmenter is not None:
        parts[SEGMENTER] = bundle.segmenter, bundle.manifest.segmenter.input.size
    converted = {}
    for number, (name, (network, side)) in enumerate(parts.items(), 1):
        logger.info("converting %s, %d of %d", name, number, len(parts))
        converted[name] = convert(network, side, name)
    return converted


def convert(network: nn.Module, side: int, name: str) -> Any:
    """Return `network` of photos of `side` px as an `openvino.Model`, for any number of them.

    Raises `ConversionError`, which calls it `name`.
    """
    try:
        example = torch.zeros(2, 3, side, side)
        with _own_log(), _flat_layer_norms():
            model = runtime().convert_model(network.eval(), example_input=example)
        model.reshape([-1, 3, side, side])
    except Exception as error:  # its frontend raises whatever stopped it
        raise ConversionError(f"OpenVINO cannot convert {name}: {error}") from error
    return model


@contextmanager
def _flat_layer_norms() -> Iterator[None]:
    """While a network is traced, let layer norms over the channels of a map see pixels in one row.

    ConvNeXt normalises n × height × width × channels over the last axis. As (n·height·width) ×
    channels the numbers are the same, and OpenVINO computes them faster.
    """
    plain = functional.layer_norm

    def flat(
        input: Tensor,  # noqa: A002 - the original's name
        normalized_shape: Sequence[int],
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> Tensor:
        if input.ndim != _OF_A_MAP or len(normalized_shape) != 1:
            return plain(input, normalized_shape, weight, bias, eps)
        rows = input.reshape(-1, normalized_shape[0])
        return plain(rows, normalized_shape, weight, bias, eps).reshape(input.shape)

    functional.layer_norm = flat
    try:
        yield
    finally:
        functional.layer_norm = plain


@contextmanager
def _own_log() -> Iterator[None]:
    """Give the process its log back: converting silences all of it below errors.

    Its `verbose` would not, but counts every allocation, which is slower by an order of magnitude.
    """
    root = logging.getLogger()
    level, filters, handlers = root.level, list(root.filters), list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters[:], root.handlers[:] = filters, handlers


def write(
    folder: Path, converted: Mapping[str, Any], notes: Mapping[str, str], *, replace: bool = False
) -> None:
    """Write all into a folder beside, then rename: a half-written one never has the name.

    `notes` are files of text beside the networks. A folder that is there stays, unless it is to be
    replaced. Raises `OSError`.
    """
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=UNFINISHED) as made:
        beside = Path(made) / folder.name
        beside.mkdir()
        for name, model in converted.items():
            try:
                runtime().save_model(model, beside / f"{name}.xml", compress_to_fp16=False)
            except RuntimeError as error:  # a full disk, for one
                raise OSError(f"{beside / name}: {error}") from error
        for file, text in notes.items():
            (beside / file).write_text(text)
        sums = {path.name: sha256(path) for path in sorted(beside.iterdir())}
        (beside / SUMS).write_text(json.dumps(sums, indent=1))
        if replace and folder.exists():
            folder.rename(Path(made) / "before")
        if not folder.exists():  # another worker may have been faster
            beside.rename(folder)


def read(folder: Path) -> dict[str, Any]:
    """Return the networks in `folder`. Raises `DamagedCacheError`, `FileNotFoundError`."""
    if not folder.exists():
        raise FileNotFoundError(folder)
    mark_used(folder)
    try:
        sums = json.loads((folder / SUMS).read_text())
        changed = [name for name, told in sums.items() if sha256(folder / name) != told]
    except (OSError, ValueError, AttributeError) as error:
        raise DamagedCacheError(f"{folder} cannot be read ({error})") from error
    if changed or not sums:
        raise DamagedCacheError(
            f"{', '.join(changed) or 'all'} in {folder} is not what was written"
        )
    paths = [folder / name for name in sums if name.endswith(".xml")]
    try:
        models = {path.stem: core().read_model(path) for path in paths}
    except RuntimeError as error:  # removed by another worker at this moment
        raise DamagedCacheError(f"{folder} cannot be read ({error})") from error
    for path in paths:
        models[path.stem].set_rt_info(str(path.with_suffix(".bin")), _MAPPED_FROM)
    return models


def sha256(path: Path) -> str:
    """Return the hash of a file in hexadecimal. Raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
