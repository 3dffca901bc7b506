"""Files that are no use cost their sender, and nobody else."""

from __future__ import annotations

import json
import runpy
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client
from django.urls import reverse
from django.utils import translation
from pytest_django.fixtures import Settings
from redis.exceptions import ConnectionError as RedisAwayError
from rest_framework.test import APIClient

from accounts.models import User
from analyses import decoding, refusals
from analyses.exceptions import (
    DecoderUnavailableError,
    IntakeError,
    TooManyAtOnceError,
    TooManyRefusedError,
    UnsupportedTypeError,
)
from analyses.intake import submit
from analyses.models import Analysis
from tests.factories import make_analysis, make_upload, make_user

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("image_store", "inference_queue"),
]
BAD = b"GIF89a" + b"\x00" * 64
API = "/api/v1/analyses/"


@pytest.fixture(autouse=True)
def _two_refusals(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REFUSALS_PER_USER = 2
    at_a_windows_start = time.time() // refusals.WINDOW * refusals.WINDOW
    # Of that module alone: what is imported meanwhile, as the API's throttles, would keep it.
    clock = SimpleNamespace(time=lambda: at_a_windows_start + 1)
    monkeypatch.setattr(refusals, "time", clock)


def answer(owner: User, content: bytes | None = None) -> str:
    """Submit, and return the code of the refusal; "" where it is accepted."""
    try:
        submit(owner=owner, upload=make_upload(content))
    except IntakeError as error:
        return error.code
    return ""


def by_api(owner: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(owner)
    return client


def test_the_third_file_that_is_no_use_is_not_even_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner = make_user()
    assert [answer(owner, BAD), answer(owner, BAD)] == ["unsupported_type"] * 2

    def never(_: bytes) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(decoding, "decode", never)
    assert answer(owner, BAD) == answer(owner) == "too_many_refused"
    assert not Analysis.objects.exists()


def test_it_ends_with_the_ten_minutes_and_holds_for_one_person_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner = make_user()
    for _ in range(3):
        answer(owner, BAD)
    assert answer(make_user()) == ""
    later = time.time() + refusals.WINDOW
    monkeypatch.setattr(refusals, "time", SimpleNamespace(time=lambda: later))
    assert answer(owner) == ""


def test_accepted_photos_are_not_counted() -> None:
    owner = make_user()
    assert [answer(owner, content) for content in (BAD, None, None, None)] == [
        "unsupported_type", "", "", "",
    ]  # fmt: skip


def test_a_file_that_no_process_could_read_is_not_held_against_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def busy(_: bytes) -> None:
        raise DecoderUnavailableError

    owner = make_user()
    with monkeypatch.context() as patched:
        patched.setattr(decoding, "decode", busy)
        assert {answer(owner) for _ in range(5)} == {"decoder_unavailable"}
    assert answer(owner) == ""


def test_files_sent_at_the_same_moment_do_not_pass_together() -> None:
    owner = make_user()
    inside = threading.Barrier(2)

    def send(_: int) -> str:
        try:
            with refusals.metered(owner):
                inside.wait(timeout=30)
                raise UnsupportedTypeError(found="GIF")
        except IntakeError as error:
            return error.code

    with ThreadPoolExecutor(4) as pool:
        codes = sorted(pool.map(send, range(4)))
    assert codes == ["too_many_refused"] * 2 + ["unsupported_type"] * 2


def test_zero_is_no_limit(settings: Settings) -> None:
    settings.REFUSALS_PER_USER = 0
    owner = make_user()
    assert {answer(owner, BAD) for _ in range(4)} == {"unsupported_type"}


def test_without_a_cache_uploads_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise RedisAwayError

    monkeypatch.setattr(caches["limits"], "add", away)
    monkeypatch.setattr(caches["limits"], "decr", away)
    owner = make_user()
    assert {answer(owner, BAD) for _ in range(4)} == {"unsupported_type"}
    assert answer(owner) == ""


def test_the_api_says_how_long_to_wait() -> None:
    owner = make_user()
    for _ in range(2):
        answer(owner, BAD)
    told = by_api(owner).post(API, {"image": make_upload()}, format="multipart")
    assert told.status_code == 429
    assert told.json()["code"] == "too_many_refused"
    assert told["Retry-After"] == str(refusals.WINDOW - 1)


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_the_page_says_how_long_to_wait(client: Client, accept: str) -> None:
    owner = make_user()
    client.force_login(owner)
    sent = {"image": make_upload(BAD), "image_type": "dermoscopic"}
    codes = []
    for _ in range(3):
        sent["image"] = make_upload(BAD)
        told = client.post(reverse("analyses:upload"), sent, headers={"accept": accept})
        codes.append(told.status_code)
    assert codes == [422, 422, 429]
    assert told["Retry-After"] == str(refusals.WINDOW - 1)
    words = json.loads(told.content)["message"] if "json" in accept else told.content.decode()
    assert "2 of your files could not be used" in words


@pytest.mark.parametrize(("language", "words"), [("es", "de sus archivos"), ("ca", "dels vostres")])
def test_it_is_told_in_the_persons_language(language: str, words: str) -> None:
    with translation.override(language):
        assert words in TooManyRefusedError(limit=2, retry_after=5).message


class TestOneAtATime:
    @staticmethod
    def held(person: str) -> tuple[threading.Event, threading.Thread]:
        """Let another thread decode for `person` until the event is set."""
        inside, over = threading.Event(), threading.Event()

        def hold() -> None:
            with decoding.one_at_a_time(person):
                inside.set()
                over.wait(30)

        thread = threading.Thread(target=hold)
        thread.start()
        assert inside.wait(30)
        return over, thread

    def test_a_person_waits_for_their_own_file_and_nobody_elses(self, settings: Settings) -> None:
        settings.DECODE_TIME_LIMIT = 0.2
        over, thread = self.held("alice")
        with decoding.one_at_a_time("bob"):
            pass
        with pytest.raises(DecoderUnavailableError), decoding.one_at_a_time("alice"):
            pass
        over.set()
        thread.join()
        with decoding.one_at_a_time("alice"):
            pass

    def test_of_what_waits_only_so_much_holds_a_thread_of_the_server(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(decoding, "AT_ONCE", 1)
        over, thread = self.held("alice")
        with pytest.raises(TooManyAtOnceError) as told, decoding.one_at_a_time("alice"):
            pass
        assert told.value.retry_after
        with decoding.one_at_a_time("bob"):
            pass
        over.set()
        thread.join()
        with decoding.one_at_a_time("alice"):
            pass
        assert not decoding._sent

    def test_one_person_never_holds_all_threads_of_a_web_process(self) -> None:
        threads = runpy.run_path("deploy/gunicorn.conf.py")["threads"]
        assert 2 <= decoding.AT_ONCE < threads

    def test_one_too_many_at_once_does_not_count_as_no_use(
        self, monkeypatch: pytest.MonkeyPatch, settings: Settings
    ) -> None:
        settings.REFUSALS_PER_USER = 1
        monkeypatch.setattr(decoding, "AT_ONCE", 0)
        alice = make_user("alice")
        for _ in range(2):
            with pytest.raises(TooManyAtOnceError):
                make_analysis(alice)
        monkeypatch.undo()
        make_analysis(alice)

    def test_the_next_begins_as_soon_as_the_one_before_is_done(self) -> None:
        over, thread = self.held("alice")
        threading.Timer(0.1, over.set).start()
        with decoding.one_at_a_time("alice"):
            assert over.is_set()
        thread.join()

    def test_a_refusal_gives_the_place_back(self) -> None:
        with pytest.raises(UnsupportedTypeError), decoding.one_at_a_time("alice"):
            raise UnsupportedTypeError(found="GIF")
        with decoding.one_at_a_time("alice"):
            pass

    def test_intake_decodes_ones_own_files_one_by_one(
        self, monkeypatch: pytest.MonkeyPatch, settings: Settings
    ) -> None:
        settings.REFUSALS_PER_USER = 0
        at_once, most, lock = 0, 0, threading.Lock()
        pair = threading.Barrier(2)
        takes: list[Callable[[], object]] = [lambda: time.sleep(0.05)]

        def decode(_: bytes) -> Any:
            nonlocal at_once, most
            with lock:
                at_once += 1
                most = max(most, at_once)
            takes[-1]()
            with lock:
                at_once -= 1
            raise UnsupportedTypeError(found="GIF")

        def send(owner: User) -> str:
            from django.db import connection

            try:
                return answer(owner)
            finally:
                connection.close()

        monkeypatch.setattr(decoding, "decode", decode)
        alice = make_user()
        with ThreadPoolExecutor(3) as pool:
            assert set(pool.map(send, [alice] * 3)) == {"unsupported_type"}
        assert most == 1
        takes.append(lambda: pair.wait(60))  # each waits until another is there
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(send, [alice, make_user()]))
        assert most == 2


class TestManyFilesInOneForm:
    def test_the_api_takes_none_and_says_how_many_it_would(self, settings: Settings) -> None:
        many = [make_upload() for _ in range(settings.DATA_UPLOAD_MAX_NUMBER_FILES + 1)]
        told = by_api(make_user()).post(API, {"image": many}, format="multipart")
        assert told.status_code == 413
        assert told.json()["code"] == "too_many_files"
        assert "at most 10" in told.json()["detail"]
        assert not Analysis.objects.exists()

    def test_the_page_takes_none_and_says_how_many_it_would(self, settings: Settings) -> None:
        """As a browser sends it: the files are met where the form's token is looked for."""
        client = Client(enforce_csrf_checks=True)
        client.force_login(make_user())
        client.get(reverse("analyses:upload"))
        sent: dict[str, Any] = {
            "csrfmiddlewaretoken": client.cookies[settings.CSRF_COOKIE_NAME].value,
            "image": [make_upload() for _ in range(settings.DATA_UPLOAD_MAX_NUMBER_FILES + 1)],
            "image_type": "dermoscopic",
        }
        told = client.post(reverse("analyses:upload"), sent)
        assert told.status_code == 413
        assert "at most 10" in told.content.decode()
        assert not Analysis.objects.exists()

    def test_as_many_as_are_allowed_are_taken(self, client: Client, settings: Settings) -> None:
        settings.DATA_UPLOAD_MAX_NUMBER_FILES = 3
        client.force_login(make_user())
        many = [make_upload() for _ in range(3)]
        told = client.post(reverse("analyses:upload"), {"image": many, "image_type": "dermoscopic"})
        assert told.status_code == 302
        assert Analysis.objects.count() == 3

    def test_any_other_bad_request_has_its_page(self, client: Client) -> None:
        told = client.get("/", headers={"host": "evil.example"})
        assert told.status_code == 400
        assert "could not be understood" in told.content.decode()
