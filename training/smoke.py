"""Every line of every recipe on a few small photos: fit, kill, resume, export, evaluate, serve."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from inference_worker import bundle
from inference_worker.pipeline import Pipeline
from training import drawn, evidence, export, needs, rate_bundle
from training import recipe as recipes
from training.fit import Run, train
from training.loop import CHECKPOINT

if TYPE_CHECKING:
    from pathlib import Path

    from inference_worker.verdict import Verdict

_DEADLINE: Final = 900.0  # s: a crowded machine is slow, a training that hangs is not let hang
_PHOTO: Final = 999
_SIZE: Final = (120, 90)


class SmokeError(RuntimeError):
    """A recipe did not come through."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A recipe that came through: its `verdict` of a drawn lesion, and the `seconds` it took."""

    name: str
    verdict: Verdict
    seconds: float


def run(name: str, data: Path | None, out: Path, threads: int) -> Passed:
    """Take the recipe `name` from its data to a verdict. Raises `SmokeError`.

    The training is killed once its first checkpoint stands, then resumed. Data sets that are not
    in `data` are drawn: then all that the recipe needs are.
    """
    started = time.monotonic()
    recipe, sha256 = recipes.load(name)
    if data is None or needs.missing(recipes.smoke(recipe), data):
        data = out / "drawn"
        if not data.exists():
            drawn.write(data)
    folder = out / recipe.name
    rest = ["--data", str(data), "--out", str(folder), "--threads", str(threads)]
    _kill_at_checkpoint(["fit", name, "--smoke", *rest], folder)
    small = Run(recipes.smoke(recipe), data, folder, torch.device("cpu"), resume=True, smoke=True)
    train(small)
    evidence.write(export.export(small, sha256, folder / "bundle"), folder / "evidence")
    again = folder / "evaluated"
    opened = rate_bundle.open_bundle(folder / "bundle", data, again, small.device, name)
    cases = rate_bundle.judge(*opened)
    evidence.write(
        rate_bundle.report(opened[0].manifest, cases, opened[1].precision), again / "evidence"
    )
    verdict = Pipeline(bundle.load(folder / "bundle")).run(
        drawn.lesion(_PHOTO, _SIZE)[0], always_classify=True
    )
    if verdict.classification is None:
        raise SmokeError(f"{name}: the worker gave no numbers for a lesion")
    return Passed(recipe.name, verdict, round(time.monotonic() - started, 1))


def _kill_at_checkpoint(arguments: list[str], folder: Path) -> None:
    """Start a training and kill it as soon as any network of it has a checkpoint."""
    process = subprocess.Popen(  # noqa: S603 - this program
        [sys.executable, "-m", "training", *arguments], stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + _DEADLINE
    try:
        while not list(folder.glob(f"*/{CHECKPOINT}")):
            if process.poll() is not None:
                said = process.stderr.read().decode() if process.stderr else ""
                raise SmokeError(f"training {arguments[1]} ended before a checkpoint: {said}")
            if time.monotonic() > deadline:
                raise SmokeError(f"training {arguments[1]} made no checkpoint in {_DEADLINE:.0f} s")
            time.sleep(0.02)
    finally:
        process.kill()
        process.communicate()
    if (folder / "bundle").exists():
        raise SmokeError(f"training {arguments[1]} was over before it could be killed")
