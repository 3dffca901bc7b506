"""An upload is accepted whole, or refused by name with nothing stored."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path

import pytest
from celery import current_app
from django.db import connection
from django.utils import translation
from pytest_django import Settings

from accounts.models import User
from analyses import decoding, queue
from analyses import exceptions as refused
from analyses.intake import submit
from analyses.models import Analysis, HoldKind
from tests import images
from tests.factories import make_analysis, make_lesion, make_upload, make_user

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("image_store", "inference_queue"),
]


@pytest.fixture
def alice() -> User:
    return make_user("alice")


def test_an_accepted_photo_is_stored_recorded_and_sent_on(alice: User, image_store: Path) -> None:
    analysis = make_analysis(alice)
    analysis.refresh_from_db()
    assert (analysis.status, analysis.attempts) == ("QUEUED", 0)
    assert (analysis.width, analysis.height, analysis.source_format) == (320, 240, "JPEG")
    assert len(analysis.sha256) == 64
    assert analysis.enqueued_at is not None
    assert [path.name for path in image_store.iterdir()] == [f"{analysis.id}.sealed"]
    assert queue.waiting_messages() == 1


def test_the_message_carries_the_id_alone(alice: User) -> None:
    analysis = make_analysis(alice)
    with current_app.connection_for_read() as link, link.SimpleQueue("inference") as waiting:
        message = waiting.get(timeout=5)
        message.ack()
    assert message.content_type == "application/json"
    assert message.payload[:2] == [[str(analysis.id)], {}]


def test_any_binary_file_is_taken(alice: User) -> None:
    assert submit(owner=alice, upload=io.BytesIO(images.jpeg())).width == 320


def test_a_lesion_lends_its_body_site(alice: User) -> None:
    lesion = make_lesion(alice, body_site="palms_soles")
    assert make_analysis(alice, lesion=lesion).body_site == "palms_soles"
    assert make_analysis(alice, lesion=lesion, body_site="head_neck").body_site == "head_neck"


def test_consent_to_a_hold_is_kept_with_its_time_and_words(alice: User) -> None:
    held = make_analysis(
        alice, hold_kind=HoldKind.GATE_DEFERRED.value, hold_wording_version="2026-11"
    )
    assert held.hold_consented_at is not None
    assert held.hold_wording_version == "2026-11"
    plain = make_analysis(alice, hold_wording_version="2026-11")
    assert (plain.hold_consented_at, plain.hold_wording_version) == (None, "")


@pytest.mark.parametrize(
    ("content", "name", "media_type", "code"),
    [
        (b"", "a.jpg", "image/jpeg", "not_an_image"),
        (b"words", "a.jpg", "image/jpeg", "not_an_image"),
        (b"GIF89a....", "a.gif", "image/gif", "unsupported_type"),
        (images.jpeg(), "a.png", "image/png", "unsupported_type"),
        (images.jpeg()[:2000], "a.jpg", "image/jpeg", "truncated"),
        (images.jpeg(90, 90), "a.jpg", "image/jpeg", "too_small"),
        (images.png_with_header_size(9000, 3000), "a.png", "image/png", "too_many_pixels"),
        (
            images.encode(
                images.noise(), "WEBP", save_all=True, append_images=[images.noise(seed=1)]
            ),
            "a.webp",
            "image/webp",
            "animated",
        ),
    ],
)
def test_a_refused_upload_is_named_quickly_and_leaves_nothing(
    alice: User, image_store: Path, content: bytes, name: str, media_type: str, code: str
) -> None:
    make_analysis(alice).delete()  # the decoding process runs
    upload = make_upload(content, name=name, media_type=media_type)
    started = time.perf_counter()
    with pytest.raises(refused.IntakeError) as caught:
        submit(owner=alice, upload=upload)
    assert caught.value.code == code
    assert time.perf_counter() - started < 10  # s, with a busy machine's share
    assert not Analysis.objects.exists()
    assert not list(image_store.iterdir())


def test_a_file_over_the_limit_is_refused_before_it_is_decoded(
    alice: User, settings: Settings, image_store: Path
) -> None:
    settings.UPLOAD_MAX_BYTES = 1024 * 1024
    for upload in (make_upload(b"\xff" * (1024 * 1024 + 1)), io.BytesIO(b"\xff" * 2_000_000)):
        with pytest.raises(refused.TooLargeError, match="1 MB"):
            submit(owner=alice, upload=upload)
    assert not list(image_store.iterdir())


def test_refusals_speak_the_language_of_the_request_and_keep_their_code() -> None:
    with translation.override("es"):
        error = refused.TooLargeError(limit_bytes=20 * 1024 * 1024)
    assert (error.code, "20" in error.message) == ("too_large", True)


def test_the_same_key_is_the_same_analysis(alice: User, image_store: Path) -> None:
    first = make_analysis(alice, idempotency_key="k")
    again = make_analysis(alice, idempotency_key="k")
    assert first.id == again.id
    assert len(list(image_store.iterdir())) == 1
    with pytest.raises(refused.IdempotencyConflictError):
        make_analysis(alice, upload=make_upload(images.jpeg(seed=5)), idempotency_key="k")
    with pytest.raises(refused.IdempotencyKeyTooLongError):
        make_analysis(alice, idempotency_key="k" * 81)


def test_a_double_click_makes_one_analysis(alice: User, image_store: Path) -> None:
    at_once = decoding.AT_ONCE
    together = threading.Barrier(at_once)
    found: list[str] = []

    def click() -> None:
        try:
            together.wait()
            found.append(str(make_analysis(alice, idempotency_key="double").id))
        finally:
            connection.close()

    clicks = [threading.Thread(target=click) for _ in range(at_once)]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join()
    assert len(found) == at_once
    assert len(set(found)) == 1
    assert Analysis.objects.count() == 1
    assert len(list(image_store.iterdir())) == 1
    assert queue.waiting_messages() == 1


def test_a_store_that_refuses_is_named_and_leaves_no_row(
    alice: User, settings: Settings, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    settings.STORAGES = settings.STORAGES | {
        "images": {
            "BACKEND": "analyses.storage.PrivateFileSystemStorage",
            "OPTIONS": {"location": blocked / "images"},
        }
    }
    with pytest.raises(refused.StorageUnavailableError):
        make_analysis(alice)
    assert not Analysis.objects.exists()
    assert queue.waiting_messages() == 0
