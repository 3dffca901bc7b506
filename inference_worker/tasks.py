"""The Celery side of the model: claim, run, record. The only module here that knows Django."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from concurrent.futures import wait
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from celery import shared_task, signals
from celery.exceptions import Reject, SoftTimeLimitExceeded
from django.conf import settings
from django.db import close_old_connections

from analyses import lifecycle, worker
from analyses.images import ImageUnavailableError
from analyses.models import FailureCode
from inference_worker.errors import OUT_OF_MEMORY_MARKS
from inference_worker.loading import Loader
from inference_worker.verdict import ImageType

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from inference_worker.drafts import Photo
    from inference_worker.pipeline import Pipeline
    from inference_worker.verdict import Stage, Verdict

# A database that restarts is waited for before minutes of work are thrown away.
RECORD_AFTER: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)  # s before each try
# What PyTorch raises of a device's own errors; of its libraries', a RuntimeError that begins so.
DEVICE_ERROR: Final = "AcceleratorError"
DEVICE_ERROR_MARKS: Final = ("cuda error", "cudnn error")
# Of the soft time limit: how much waiting for the model may take off a photo's own time.
WAITING_SHARE: Final = 0.1
# A signal that comes just as a wait begins does not end it: it is seen when that ends by itself.
LOOK_UP: Final = 1.0  # s
logger = logging.getLogger(__name__)
_leases: list[threading.Thread] = []


class ModelNotLoadedError(Exception):
    """There is no memory for the model now: photos wait, for another worker or a better time."""


class DeviceLostError(Exception):
    """The GPU's context is dead: in this process nothing runs on it any more."""


@signals.worker_process_init.connect
def warm_up(**_: object) -> None:
    """Load the bundle while the worker waits, so that the first photo need not wait for it.

    In a thread: a child that does not answer within seconds is taken for dead. A first task that
    comes before its end waits for it: a pipeline is for one thread at a time.
    """
    if worker.analyses_photos():
        _loader.begin(awaited=False)


@shared_task(
    name="inference_worker.tasks.analyse",
    acks_late=True,
    time_limit=settings.ANALYSIS_TIME_LIMIT,
    soft_time_limit=settings.ANALYSIS_SOFT_TIME_LIMIT,
)
def analyse(analysis_id: str) -> None:
    """Analyse the photo whose turn it is; with others where several are judged as fast as one.

    The message's own photo may have to wait, or be done already (`analyses.turns`).
    Ends each in a result, a rejection or a named failure; or lets it go.
    Nothing is claimed before the model has been loaded, or is known to be unusable. Raises `Reject`
    where that takes long: the message goes back to the queue and is taken again with all of the
    time before it. Raises `ModelNotLoadedError`; the message is used up then, and `reconcile` sends
    another for the photo that waits still.
    Where the GPU is lost, this process ends: its worker frees what it held, as of a killed one.
    """
    model = _loaded_model()
    first = lifecycle.claim(uuid.UUID(analysis_id), worker=worker.identity())
    if first is None:
        logger.info("no photo waits, nor does analysis %s: nothing to do", analysis_id)
        return
    group, outages = [first], list[Exception]()
    try:
        with _ending(first, outages):
            pipeline = model.result()
            most = settings.ANALYSES_AT_ONCE or pipeline.at_once
            group += lifecycle.claim_company(first, most=most - 1, worker=worker.identity())
            _work(group, pipeline, outages)
    except SoftTimeLimitExceeded:
        logger.exception(
            "analysis %s ran out of time, and %d with it", first.analysis_id, len(group) - 1
        )
        _give_up_all(first, FailureCode.TIME_LIMIT, outages)
    except DeviceLostError:
        logger.exception("the GPU is lost, and this process with it")
        worker.end_child()
    if outages:
        raise outages[0]  # `analyses.worker` frees what could not be written, to be tried again


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


def is_device_lost(error: BaseException) -> bool:
    """Tell whether `error` is one of the device, after which only a new process can use it."""
    if failure_code(error) == FailureCode.OUT_OF_MEMORY:
        return False  # the device is well
    if any(kind.__name__ == DEVICE_ERROR for kind in type(error).__mro__) or (
        isinstance(error, RuntimeError) and str(error).lower().startswith(DEVICE_ERROR_MARKS)
    ):
        return True
    return error.__cause__ is not None and is_device_lost(error.__cause__)


def _work(group: list[lifecycle.Claim], pipeline: Pipeline, outages: list[Exception]) -> None:
    """Work on all of `group`; whatever becomes of one, the others go on."""
    photos: dict[lifecycle.Claim, Photo] = {}
    for claim in group:
        with _ending(claim, outages):
            photos[claim] = pipeline.begin(
                lifecycle.load_pixels(claim),
                image_type=ImageType(claim.image_type),
                on_stage=partial(_report_stage, claim),
            )
    _ask_together(pipeline, list(photos.values()))
    for claim, photo in photos.items():
        with _ending(claim, outages):
            if not _record(claim, pipeline.finish(photo)):
                raise lifecycle.ClaimLostError


@contextmanager
def _ending(claim: lifecycle.Claim, outages: list[Exception]) -> Iterator[None]:
    """Where the work on `claim` fails, end it by name, or alone again.

    Only what ends the work on all passes: the time limit, and `DeviceLostError`.
    A database that is away goes to `outages`: the photos beside this one may still be written.
    """
    try:
        yield
    except lifecycle.ClaimLostError:
        logger.warning("analysis %s was taken over: nothing written", claim.analysis_id)
    except (SoftTimeLimitExceeded, DeviceLostError):
        raise
    except worker.DATABASE_AWAY as error:
        _note_outage(claim, error, outages)
    except Exception as error:
        if is_device_lost(error):
            raise DeviceLostError from error
        logger.exception("analysis %s failed", claim.analysis_id)
        _give_up(claim, failure_code(error), outages)


def _give_up(claim: lifecycle.Claim, code: str, outages: list[Exception]) -> None:
    try:
        lifecycle.give_up(claim, code)
    except worker.DATABASE_AWAY as error:
        _note_outage(claim, error, outages)


def _give_up_all(first: lifecycle.Claim, code: str, outages: list[Exception]) -> None:
    """Give up `first` and all in its company, also what the task could not note any more."""
    try:
        lifecycle.give_up_lost(worker=worker.identity(), code=code)
    except worker.DATABASE_AWAY as error:
        _note_outage(first, error, outages)


def _note_outage(claim: lifecycle.Claim, error: Exception, outages: list[Exception]) -> None:
    logger.error("analysis %s meets no database", claim.analysis_id, exc_info=error)
    close_old_connections()
    outages.append(error)


def _report_stage(claim: lifecycle.Claim, stage: Stage) -> None:
    """Show the stage if the database lets it: without it the page lags, no more."""
    try:
        lifecycle.report_stage(claim, stage)
    except worker.DATABASE_AWAY:
        logger.warning("the stage of analysis %s is not shown", claim.analysis_id, exc_info=True)
        close_old_connections()


def _ask_together(pipeline: Pipeline, photos: list[Photo]) -> None:
    try:
        pipeline.ask_together(photos)
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:  # whosever photo it is: asked one by one, only that one fails
        if is_device_lost(error):
            raise DeviceLostError from error
        logger.exception("%d photos were not judged together; each is by itself", len(photos))


def _loaded_model() -> Future[Pipeline]:
    """Return the pipeline, or what makes the bundle unusable, as soon as one of them is known.

    A thread loads it and the task waits: so the time limit ends the waiting and not the loading,
    and no library on the way takes the limit for an error of its own. The tasks that come after it
    wait for the same load; the first to see its end is told of a failure, and the next tries again.
    Raises `Reject`, `ModelNotLoadedError`.
    """
    started = time.monotonic()
    try:
        load = _loader.begin(awaited=True)
        while not wait([load.outcome], timeout=LOOK_UP).done:
            pass
    except SoftTimeLimitExceeded as limit:
        raise Reject("the model is not loaded yet", requeue=True) from limit
    _loader.tell()
    error = load.outcome.exception()
    if error is None:
        # It is there for the next task at once: the message cannot go round for ever.
        if time.monotonic() - started > WAITING_SHARE * settings.ANALYSIS_SOFT_TIME_LIMIT:
            raise Reject("the model was long in loading", requeue=True)
    elif failure_code(error) == FailureCode.OUT_OF_MEMORY:
        # Not as it is: for a MemoryError Celery ends the whole worker.
        raise ModelNotLoadedError(str(error)) from None
    return load.outcome


def _warm_pipeline() -> Pipeline:
    """Load the bundle and run it once; then say so for as long as this process lives."""
    pipeline = _pipeline()
    pipeline.warm()
    if worker.analyses_photos() and not _leases:
        logger.info("the model bundle is ready")
        lease = threading.Thread(target=worker.show_model, name="model-lease", daemon=True)
        lease.start()
        _leases.append(lease)
    return pipeline


def _leave_lost_device(error: BaseException) -> None:
    if is_device_lost(error):
        logger.error("the GPU is lost, and this process with it", exc_info=error)
        worker.end_child()


def _pipeline() -> Pipeline:
    # Here and not above: only the child that runs the model ever imports torch.
    from inference_worker import pipeline

    return pipeline.current(settings.BUNDLE_DIR, settings.INFERENCE_OPTIONS)


_loader = Loader(_warm_pipeline, _leave_lost_device)


def _record(claim: lifecycle.Claim, verdict: Verdict) -> bool:
    for delay in RECORD_AFTER[:-1]:
        time.sleep(delay)
        try:
            return lifecycle.record(claim, verdict)
        except worker.DATABASE_AWAY:
            logger.exception("the database is away; trying again")
            close_old_connections()
    time.sleep(RECORD_AFTER[-1])
    return lifecycle.record(claim, verdict)
