"""Users of the running product: they send photos over HTTP and look at what became of them."""

from __future__ import annotations

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from benchmarks.platform_figures import ACCEPTED, Sent

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWERS_WITHIN: Final = 120  # s
ANALYSES: Final = "/api/v1/analyses/"


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A photo as it lies on somebody's disk."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a token of the API, and the cookie of a browser that is signed in."""

    port: int
    number: int
    token: str
    session: str = ""

    def send(self, photo: PhotoFile, image_type: str) -> Sent:
        """Send one photo, as a client that has no connection open yet; 0 where none answers."""
        image = SimpleUploadedFile(photo.name, photo.data, photo.media_type)
        body = encode_multipart(BOUNDARY, {"image": image, "image_type": image_type})
        posted_at = time.time()
        try:
            status, told = self._ask("POST", ANALYSES, body, {"Content-Type": MULTIPART_CONTENT})
        except (OSError, http.client.HTTPException):
            return Sent(self.number, posted_at, time.time(), 0, None)
        accepted = told["id"] if status == ACCEPTED else None
        return Sent(self.number, posted_at, time.time(), status, accepted)

    def status_of(self, analysis_id: str) -> str:
        """Return the status that the user is shown, the HTTP status where there is none."""
        status, told = self._ask("GET", f"{ANALYSES}{analysis_id}/")
        return str(told.get("status", status))

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWERS_WITHIN)
        own = {"Authorization": f"Bearer {self.token}", "Host": "localhost", **(headers or {})}
        try:
            connection.request(method, path, body, own)
            answer = connection.getresponse()
            return answer.status, json.load(answer)
        finally:
            connection.close()


def send_all(
    users: Sequence[User], photos: Sequence[PhotoFile], each: int, image_type: str
) -> list[Sent]:
    """Let all `users` send `each` photos at the same time, one after the other."""

    def work(number: int) -> list[Sent]:
        own = [photos[(number * each + index) % len(photos)] for index in range(each)]
        return [users[number].send(photo, image_type) for photo in own]

    with ThreadPoolExecutor(len(users)) as pool:
        return [sent for found in pool.map(work, range(len(users))) for sent in found]
