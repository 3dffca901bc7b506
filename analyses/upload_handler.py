"""Uploads stay in memory, and only so many bytes of them."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile
    from django.http import HttpRequest

MAX_FULL_FILES: Final = 5


class CappedMemoryUploadHandler(FileUploadHandler):
    """Keep each file in memory up to the limit, and of all files together up to five limits.

    Never on disk: a temporary file would hold a photo in the clear, and outlive a killed process.
    Of a longer file one byte more than the limit is kept and the rest is read and dropped, so that
    intake refuses it by name while the other files of the same form are unharmed.
    """

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self._limit: int = settings.UPLOAD_MAX_BYTES
        self._room = MAX_FULL_FILES * self._limit
        self._buffer = BytesIO()

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Begin a file with an empty buffer."""
        super().new_file(*args, **kwargs)
        self._buffer = BytesIO()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:  # noqa: ARG002 - Django's
        """Keep the chunk as far as the limit lets it."""
        free = min(self._limit + 1 - self._buffer.tell(), self._room)
        kept = raw_data[: max(free, 0)]
        self._buffer.write(kept)
        self._room -= len(kept)

    def file_complete(self, file_size: int) -> UploadedFile[Any]:
        """Hand the file over; `size` is what was sent, also where less was kept."""
        self._buffer.seek(0)
        return InMemoryUploadedFile(
            file=self._buffer,
            field_name=self.field_name,
            name=self.file_name,
            content_type=self.content_type,
            size=file_size,
            charset=self.charset,
            content_type_extra=self.content_type_extra,
        )
