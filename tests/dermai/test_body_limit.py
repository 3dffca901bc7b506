"""A body over the limit is refused before it is read."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import translation
from pytest_django import Settings

LIMIT = 1024 * 1024


@pytest.fixture(autouse=True)
def _small_limits(settings: Settings) -> None:
    settings.UPLOAD_MAX_BYTES = LIMIT
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = LIMIT


class _Unread:
    """A body that must not be read."""

    def read(self, *_: object) -> bytes:
        raise AssertionError("the body was read")

    readline = read


@pytest.mark.parametrize("length", [str(6 * LIMIT + 1), "99999999999999999999", "-1", "many"])
def test_a_body_over_the_limit_is_refused_unread(length: str) -> None:
    response = Client().post(
        "/api/v1/analyses/",
        data=b"",
        content_type="multipart/form-data; boundary=x",
        **{"CONTENT_LENGTH": length, "wsgi.input": _Unread()},
    )
    assert response.status_code == 413
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "too_large"
    assert "6 MB" in response.json()["detail"]


def test_pages_are_refused_in_plain_words() -> None:
    response = Client().post("/analyses/new/", CONTENT_LENGTH="7340032")
    assert response.status_code == 413
    assert response["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("before", ["en", "ca"])
def test_the_refusal_is_in_the_language_of_who_sent_it(before: str) -> None:
    """Not of whoever the thread served before."""
    with translation.override(before):
        response = Client().post(
            "/analyses/new/", CONTENT_LENGTH="7340032", headers={"accept-language": "es"}
        )
        assert translation.get_language() == before
    assert "La petición" in response.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("length", ["", "0", "10"])
def test_other_requests_pass(length: str) -> None:
    assert Client().get("/healthz", CONTENT_LENGTH=length).status_code == 200
