"""Accept one upload: check it, rebuild it, encrypt it, record it, send it on its way."""

from __future__ import annotations

import hashlib
import logging
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.consent import has_consented
from accounts.locks import keep
from analyses import decoding, images, locks, queue, quota, refusals, storage, trace
from analyses.exceptions import (
    ConsentMissingError,
    IdempotencyConflictError,
    IdempotencyKeyTooLongError,
    LimitReachedError,
    StorageUnavailableError,
    TooLargeError,
)
from analyses.formats import check_agreement, sniff
from analyses.models import Analysis, HoldKind, Lesion, Status
from inference_worker.verdict import ImageType

if TYPE_CHECKING:
    from accounts.models import User
    from analyses.imaging import DecodedImage

MAX_IDEMPOTENCY_KEY: Final = 80
logger = logging.getLogger(__name__)


def submit(
    *,
    owner: User,
    upload: UploadedFile[Any] | BinaryIO,
    image_type: str = ImageType.DERMOSCOPIC.value,
    lesion: Lesion | None = None,
    body_site: str = "",
    hold_kind: str = HoldKind.NONE.value,
    hold_wording_version: str = "",
    idempotency_key: str | None = None,
) -> Analysis:
    """Accept `upload` and return its analysis: QUEUED, or HUMAN_ONLY where that is asked for.

    The same `idempotency_key` with the same bytes returns the analysis of the first time. Raises a
    subclass of `analyses.exceptions.IntakeError`; nothing is stored then. A broker that is down is
    no error: `reconcile` sends the analysis later.
    """
    if idempotency_key and len(idempotency_key) > MAX_IDEMPOTENCY_KEY:
        raise IdempotencyKeyTooLongError(limit=MAX_IDEMPOTENCY_KEY)
    if not has_consented(owner):
        raise ConsentMissingError
    data = _read(upload)
    sha256 = hashlib.sha256(data).hexdigest()
    if idempotency_key and (earlier := _earlier(owner, idempotency_key, sha256)):
        return earlier
    quota.check(owner, held=bool(hold_kind))
    with refusals.metered(owner), decoding.one_at_a_time(owner.pk):
        check_agreement(
            sniff(data),
            name=getattr(upload, "name", None) or "",
            media_type=getattr(upload, "content_type", None) or "",
        )
        decoded = decoding.decode(data)
    fields: dict[str, Any] = {
        "owner": owner,
        "lesion": lesion,
        "body_site": body_site or (lesion.body_site if lesion else ""),
        "image_type": ImageType(image_type).value,
        "sha256": sha256,
        "source_format": decoded.format.value,
        "width": decoded.width,
        "height": decoded.height,
        "hold_kind": HoldKind(hold_kind).value,
        "hold_consented_at": timezone.now() if hold_kind else None,
        "hold_wording_version": hold_wording_version if hold_kind else "",
        "idempotency_key": idempotency_key or None,
    } | _left_to_a_human(hold_kind)
    try:
        return _store(decoded, fields)
    except (IntegrityError, LimitReachedError):
        # A double click: the other request with this key won between the look and the write.
        if idempotency_key and (earlier := _earlier(owner, idempotency_key, sha256)):
            return earlier
        raise


def follow(*, owner: User, name: str, body_site: str) -> Lesion:
    """Return the lesion that `owner` calls `name`; where there is none, begin one.

    Raises `TooManyLesionsError`.
    """
    with transaction.atomic():
        keep(owner.pk)
        own = Lesion.objects.filter(owner=owner)
        if (known := own.filter(name=name).first()) is not None:
            return known
        quota.check_lesions(owner)
        return own.create(owner=owner, name=name, body_site=body_site)


def _left_to_a_human(hold_kind: str) -> dict[str, Any]:
    """Return the fields of an upload that no worker is to see; none for any other."""
    if hold_kind != HoldKind.HUMAN_ONLY:
        return {}
    now = timezone.now()
    return {
        "status": Status.HUMAN_ONLY,
        "completed_at": now,
        "held_until": now + timedelta(days=settings.REVIEW_HOLD_DAYS),
    }


def _store(decoded: DecodedImage, fields: dict[str, Any]) -> Analysis:
    analysis_id = uuid.uuid4()
    try:
        wrapped_key = images.keep(analysis_id, decoded.pixels)
    except OSError as error:
        logger.exception("the image store refuses")
        raise StorageUnavailableError from error
    try:
        return _record(analysis_id, wrapped_key, fields)
    except BaseException:
        storage.delete(analysis_id)
        raise


def _record(analysis_id: uuid.UUID, wrapped_key: bytes, fields: dict[str, Any]) -> Analysis:
    with transaction.atomic():
        quota.take_place(fields["owner"], held=bool(fields["hold_kind"]))
        # That locks the person's row, as a withdrawal does: one that came while the photo was
        # decoded is seen here.
        if not has_consented(fields["owner"]):
            raise ConsentMissingError
        fields |= {"lesion": locks.lesion_to_refer_to(fields["lesion"])}
        analysis = Analysis.objects.create(id=analysis_id, image_key=wrapped_key, **fields)
        trace.uploaded(analysis)
        if analysis.status == Status.QUEUED:
            transaction.on_commit(lambda: queue.enqueue(analysis_id))
    return analysis


def _read(upload: UploadedFile[Any] | BinaryIO) -> bytes:
    limit: int = settings.UPLOAD_MAX_BYTES
    if isinstance(upload, UploadedFile) and upload.size is not None and upload.size > limit:
        raise TooLargeError(limit_bytes=limit)
    data = upload.read(limit + 1)
    if len(data) > limit:
        raise TooLargeError(limit_bytes=limit)
    return data


def _earlier(owner: User, key: str, sha256: str) -> Analysis | None:
    earlier = Analysis.objects.filter(owner=owner, idempotency_key=key).first()
    if earlier is not None and earlier.sha256 != sha256:
        raise IdempotencyConflictError
    return earlier
