"""A stand-in for the model: it does what the upload's pixels tell it to.

What is tested with it is everything around the model: processes, queue, claims, limits. It takes
the pipeline's place in a worker that is started with `-I tests.faults.stand_in`.
"""

from __future__ import annotations

import os
import signal
import time
import types
from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import partial
from pathlib import Path

import numpy as np
from celery.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError

from inference_worker.verdict import Category, ImageType, Stage, Verdict


class Behaviour(IntEnum):
    """The value of all channels of all pixels."""

    FINISH = 100
    KILL_THE_CHILD = 101
    WAIT_FOR_THE_GATE = 102
    IGNORE_THE_SOFT_LIMIT = 103
    SLEEP = 104
    RUN_OUT_OF_MEMORY = 105
    RAISE = 106
    LOSE_THE_DATABASE_ONCE = 107
    LOSE_THE_DEVICE_ONCE = 108
    LOSE_THE_DEVICE = 109


class AcceleratorError(RuntimeError):
    """As torch's: known by its name, where torch must not be imported."""


class _Device:
    """The GPU, as this process knows it: once lost, it answers nothing any more."""

    lost = False


class Pipeline:
    """Obeys `Behaviour`, when a photo is finished; until then every photo is well."""

    at_once = 1

    def __init__(self) -> None:
        self.together: list[int] = []

    def warm(self) -> None:
        _check_the_device()

    def begin(
        self, pixels: np.ndarray, image_type: ImageType, on_stage: Callable[[Stage], None]
    ) -> partial[Verdict]:
        on_stage(Stage.QUALITY)
        return partial(self.run, pixels, image_type, on_stage)

    def ask_together(self, photos: Sequence[partial[Verdict]]) -> None:
        self.together.append(len(photos))
        if len(photos) > 1:
            for photo in photos:
                _use_the_device(int(photo.args[0][0, 0, 0]))

    def finish(self, photo: partial[Verdict]) -> Verdict:
        return photo()

    def run(
        self,
        pixels: np.ndarray,
        image_type: ImageType,
        on_stage: Callable[[Stage], None],
        *,
        always_classify: bool = False,  # noqa: ARG002 - as the real one
    ) -> Verdict:
        from tests.factories import make_verdict

        on_stage(Stage.ENSEMBLE)
        behaviour = int(pixels[0, 0, 0])
        _use_the_device(behaviour)
        match behaviour:
            case Behaviour.KILL_THE_CHILD:
                os.kill(os.getpid(), signal.SIGKILL)
            case Behaviour.WAIT_FOR_THE_GATE:
                _wait_for_the_gate()
            case Behaviour.IGNORE_THE_SOFT_LIMIT:
                while True:
                    try:
                        time.sleep(60)
                    except SoftTimeLimitExceeded:
                        continue
            case Behaviour.SLEEP:
                time.sleep(60)
            case Behaviour.LOSE_THE_DATABASE_ONCE:
                _lose_the_database_once()
            case Behaviour.RAISE:
                raise ValueError("an error that nobody named")
            case Behaviour.RUN_OUT_OF_MEMORY:
                np.ones((1 << 20, 1 << 20, 1 << 10))
        return make_verdict(Category.BENIGN, image_type=image_type)


def _gate() -> Path:
    return Path(os.environ["DERMAI_TEST_GATE"])


def _wait_for_the_gate() -> None:
    while not _gate().exists():
        time.sleep(0.02)


def _lose_the_database_once() -> None:
    if not _gate().exists():
        _gate().touch()
        raise OperationalError("the connection was lost")


def _use_the_device(behaviour: int) -> None:
    once = behaviour == Behaviour.LOSE_THE_DEVICE_ONCE and not _gate().exists()
    if once:
        _gate().touch()
    if once or behaviour == Behaviour.LOSE_THE_DEVICE:
        _Device.lost = True
    _check_the_device()


def _check_the_device() -> None:
    if _Device.lost:
        raise AcceleratorError("CUDA error: an illegal memory access was encountered")


def module() -> types.ModuleType:
    """Return what takes the place of `inference_worker.pipeline`."""
    made, pipeline = types.ModuleType("inference_worker.pipeline"), Pipeline()
    made.current = lambda _folder, _options: pipeline  # type: ignore[attr-defined]
    return made
