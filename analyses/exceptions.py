"""What can go wrong with an upload: one class per thing that a person can act on.

Every message says what was wrong, the limit, and the remedy, in the language of the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

MEGABYTE = 1024 * 1024
MEGAPIXEL = 1_000_000


class IntakeError(Exception):
    """An upload that is refused; nothing of it is stored. `code` is stable, `message` is told.

    `facts` are the keywords it was raised with: the decoding process passes them on, and the web
    process puts them into words in the language of the request.
    """

    code: ClassVar[str] = "refused"
    facts: dict[str, Any]
    retry_after: int | None = None  # s, where trying again can help

    def __new__(cls, *args: Any, **facts: Any) -> Self:
        """Keep the keywords."""
        error = super().__new__(cls, *args)
        error.facts = facts
        return error

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConsentMissingError(IntakeError):
    """The person does not agree, or not any more, to the processing of health data."""

    code = "consent_missing"

    def __init__(self) -> None:
        super().__init__(
            _(
                "No photo is taken without your consent to the processing of health data. Read it "
                "and give it on the page “Privacy”, then send the photo again."
            )
        )


class TooLargeError(IntakeError):
    """More bytes than the limit."""

    code = "too_large"

    def __init__(self, *, limit_bytes: int) -> None:
        super().__init__(
            _(
                "The file is larger than %(limit)s MB. Choose a smaller copy, for example "
                "“medium” or “large” instead of “original size”."
            )
            % {"limit": f"{limit_bytes / MEGABYTE:g}"}
        )


class TooManyPixelsError(IntakeError):
    """More pixels than the limit, by the file's own header; nothing was decoded."""

    code = "too_many_pixels"

    def __init__(self, *, limit_pixels: int) -> None:
        super().__init__(
            _(
                "The picture has more than %(limit)s million pixels. "
                "Send a smaller copy, or crop it to the lesion."
            )
            % {"limit": f"{limit_pixels / MEGAPIXEL:g}"}
        )


class TooSmallError(IntakeError):
    """The short side is under the limit."""

    code = "too_small"

    def __init__(self, *, width: int, height: int, limit_px: int) -> None:
        super().__init__(
            _(
                "The picture has only %(width)d × %(height)d pixels; the shorter side must have "
                "at least %(limit)d. Send the original photo instead of a thumbnail."
            )
            % {"width": width, "height": height, "limit": limit_px}
        )


class NotAnImageError(IntakeError):
    """No picture could be made of the bytes."""

    code = "not_an_image"

    def __init__(self) -> None:
        super().__init__(
            _("The file is not a picture that can be read. Send a JPEG, PNG, WebP, TIFF or HEIC.")
        )


class EmptyFileError(NotAnImageError):
    """No bytes at all."""

    def __init__(self) -> None:
        IntakeError.__init__(
            self, _("The file is empty. Choose the photo again, or take a new one.")
        )


class UnsupportedTypeError(IntakeError):
    """A picture or document of a kind that is not accepted."""

    code = "unsupported_type"

    def __init__(self, *, found: str) -> None:
        super().__init__(
            _(
                "The file is of a kind that is not accepted (%(found)s). "
                "Send a JPEG, PNG, WebP, TIFF or HEIC."
            )
            % {"found": found}
        )


class TypeMismatchError(UnsupportedTypeError):
    """The name or the declared type contradicts the content."""

    def __init__(self, *, declared: str, found: str) -> None:
        IntakeError.__init__(
            self,
            _(
                "The file is called %(declared)s but contains %(found)s. "
                "Send the original photo, with its own name."
            )
            % {"declared": declared, "found": found},
        )


class AnimatedError(IntakeError):
    """More than one frame or page."""

    code = "animated"

    def __init__(self, *, frames: int) -> None:
        super().__init__(
            _("The file holds %(frames)d pictures; only one is accepted. Send a single photo.")
            % {"frames": frames}
        )


class TruncatedError(IntakeError):
    """The picture begins well and then ends early or is damaged."""

    code = "truncated"

    def __init__(self) -> None:
        super().__init__(
            _(
                "The picture is incomplete or damaged. Send it again; if that fails, "
                "take a new photo."
            )
        )


class UndecodableError(IntakeError):
    """Decoding broke the process that did it, or took more memory than it may."""

    code = "undecodable"

    def __init__(self) -> None:
        super().__init__(
            _(
                "The picture could not be decoded within the memory that one picture may take. "
                "Save it as a plain JPEG or PNG, or take a new photo."
            )
        )


class DecodeTimeoutError(IntakeError):
    """Decoding took longer than it may."""

    code = "decode_timeout"

    def __init__(self, *, limit_seconds: int) -> None:
        super().__init__(
            _(
                "Decoding the picture took longer than %(limit)d seconds and was stopped. "
                "Save it as a plain JPEG or PNG, or take a new photo."
            )
            % {"limit": limit_seconds}
        )


class DecoderUnavailableError(IntakeError):
    """No process could be had to decode the picture: too many at once, or no memory for one."""

    code = "decoder_unavailable"

    def __init__(self) -> None:
        super().__init__(
            _("Too many pictures are being read just now, and yours was not kept. Try again later.")
        )


class LimitReachedError(IntakeError):
    """As many of something as one person may send or have for now: `words` say of what."""

    words: ClassVar[StrPromise]  # with %(limit)d

    def __init__(self, *, limit: int, retry_after: int) -> None:
        super().__init__(self.words % {"limit": limit})
        self.retry_after = retry_after


class QuotaExceededError(LimitReachedError):
    """As many photos today as one person may send."""

    code = "quota_exceeded"
    words = gettext_lazy(
        "You have sent %(limit)d photos within a day, which is as many as one person may. "
        "Try again tomorrow; if a mole worries you, see a doctor and do not wait."
    )


class TooManyPendingError(LimitReachedError):
    """As many photos waiting as one person may have, so that others get their turn."""

    code = "too_many_pending"
    words = gettext_lazy(
        "%(limit)d of your photos are still being analysed, which is as many as one person "
        "may have waiting. Send this one when some of them are finished."
    )


class TooManyHeldError(LimitReachedError):
    """As many photos kept for a human as one person may have: each takes room until answered."""

    code = "too_many_held"
    words = gettext_lazy(
        "%(limit)d of your photos are kept for a dermatologist, which is as many as one "
        "person may have waiting. Send this one when some of them are answered, or see a "
        "doctor and do not wait."
    )


class TooManyAtOnceError(LimitReachedError):
    """As many photos under way at the same moment as one person may send; this one was not read."""

    code = "too_many_at_once"
    words = gettext_lazy(
        "%(limit)d of your photos are being received at this moment, which is as many as one "
        "person may send at once. Send this one when they have been taken."
    )


class TooManyRefusedError(LimitReachedError):
    """As many files that were no use as one person may send in a while; this one was not read."""

    code = "too_many_refused"
    words = gettext_lazy(
        "%(limit)d of your files could not be used within ten minutes, so this one was not "
        "looked at. Wait ten minutes, then send photos as the camera saved them."
    )


class TooManyLesionsError(IntakeError):
    """As many lesions as one person may follow."""

    code = "too_many_lesions"

    def __init__(self, *, limit: int) -> None:
        super().__init__(
            _(
                "You follow %(limit)d moles or marks, which is as many as one person may. "
                "Delete one that you no longer follow, or send the photo without a name for it."
            )
            % {"limit": limit}
        )


class TooManyFilesError(IntakeError):
    """More files in one form than the limit; none of them was read."""

    code = "too_many_files"

    def __init__(self, *, limit: int) -> None:
        super().__init__(
            _(
                "More than %(limit)d files were sent at once, and none of them was taken. "
                "Send at most %(limit)d, then the others."
            )
            % {"limit": limit}
        )


class StorageUnavailableError(IntakeError):
    """The photo could not be kept for the analysis: no room, or no access."""

    code = "storage_unavailable"

    def __init__(self) -> None:
        super().__init__(
            _("The photo could not be stored just now, and nothing was kept. Try again later.")
        )


class IdempotencyConflictError(IntakeError):
    """The same idempotency key came with another file."""

    code = "idempotency_conflict"

    def __init__(self) -> None:
        super().__init__(
            _("This Idempotency-Key was already used for another file. Use a new key.")
        )


class IdempotencyKeyTooLongError(IntakeError):
    """The idempotency key does not fit its column."""

    code = "idempotency_key_too_long"

    def __init__(self, *, limit: int) -> None:
        super().__init__(
            _("The Idempotency-Key is longer than %(limit)d characters. Use a UUID.")
            % {"limit": limit}
        )
