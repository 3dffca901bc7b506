"""The Celery side of the model: claim, run, record. The only module here that knows Django."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from celery import shared_task, signals
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections

from analyses import lifecycle, worker
from analyses.images import ImageUnavailableError
from analyses.models import FailureCode
from inference_worker.verdict import ImageType

if TYPE_CHECKING:
    from inference_worker.pipeline import Pipeline
    from inference_worker.verdict import Verdict

# A database that restarts is waited for before minutes of work are thrown away.
RECORD_AFTER: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)  # s before each try
OUT_OF_MEMORY_MARKS: Final = ("out of memory", "can't allocate memory")
logger = logging.getLogger(__name__)
_rehearsals: list[threading.Thread] = []


@signals.worker_process_init.connect
def warm_up(**_: object) -> None:
    """Load the bundle while the worker waits, so that the first photo need not wait for it.

    In a thread: a child that does not answer within seconds is taken for dead. A first task that
    comes before its end waits for it: a pipeline is for one thread at a time.
    """
    if worker.analyses_photos():
        _rehearsals.append(threading.Thread(target=_rehearse, name="warm-up", daemon=True))
        _rehearsals[-1].start()


def _rehearse() -> None:
    """Judge a gray square: engines compile at their first pass."""
    gray = np.full((256, 256, 3), 128, np.uint8)
    try:
        _pipeline().run(gray, ImageType.CLINICAL, lambda _stage: None, always_classify=True)
    except Exception:  # whatever it is, each analysis ends in its name
        logger.exception("the model bundle cannot be used")
    else:
        logger.info("the model bundle is ready")


@shared_task(
    name="inference_worker.tasks.analyse",
    acks_late=True,
    time_limit=settings.ANALYSIS_TIME_LIMIT,
    soft_time_limit=settings.ANALYSIS_SOFT_TIME_LIMIT,
)
def analyse(analysis_id: str) -> None:
    """Analyse one photo. Ends it in a result, a rejection or a named failure; or lets it go."""
    claim = lifecycle.claim(uuid.UUID(analysis_id), worker=worker.identity())
    if claim is None:
        logger.info("analysis %s is not waiting: nothing to do", analysis_id)
        return
    try:
        _work(claim)
    except lifecycle.ClaimLostError:
        logger.warning("analysis %s was taken over: nothing written", analysis_id)
    except SoftTimeLimitExceeded:
        logger.exception("analysis %s ran out of time", analysis_id)
        lifecycle.fail(claim, FailureCode.TIME_LIMIT)
    except (OperationalError, InterfaceError):
        raise  # nothing can be written now; reconcile takes the attempt up
    except Exception as error:
        logger.exception("analysis %s failed", analysis_id)
        lifecycle.fail(claim, failure_code(error))


def failure_code(error: BaseException) -> str:
    """Return the stable code of what went wrong in the model."""
    if isinstance(error, ImageUnavailableError):
        return FailureCode.IMAGE_UNAVAILABLE
    if isinstance(error, MemoryError) or any(
        mark in str(error).lower() for mark in OUT_OF_MEMORY_MARKS
    ):
        return FailureCode.OUT_OF_MEMORY
    code = getattr(error, "code", None)
    return code if isinstance(code, str) and code else FailureCode.MODEL_ERROR


def _work(claim: lifecycle.Claim) -> None:
    pixels = lifecycle.load_pixels(claim)
    while _rehearsals:
        _rehearsals[-1].join()
        _rehearsals.pop()
    verdict = _pipeline().run(
        pixels,
        image_type=ImageType(claim.image_type),
        on_stage=partial(lifecycle.report_stage, claim),
    )
    if not _record(claim, verdict):
        logger.warning("analysis %s was taken over: nothing written", claim.analysis_id)


def _pipeline() -> Pipeline:
    # Here and not above: only the child that runs the model ever imports torch.
    from inference_worker import pipeline

    return pipeline.current(settings.BUNDLE_DIR, settings.INFERENCE_OPTIONS)


def _record(claim: lifecycle.Claim, verdict: Verdict) -> bool:
    for delay in RECORD_AFTER[:-1]:
        time.sleep(delay)
        try:
            return lifecycle.record(claim, verdict)
        except (OperationalError, InterfaceError):
            logger.exception("the database is away; trying again")
            close_old_connections()
    time.sleep(RECORD_AFTER[-1])
    return lifecycle.record(claim, verdict)
