"""Requests that say more than they may: hosts, addresses to go to, fields, other people's ids."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.forms.models import model_to_dict
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from analyses.models import Analysis, Lesion
from tests.factories import make_lesion, make_upload, make_user
from tests.post import delivered

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery staple"
EVIL = "evil.example"
# Every name that a row has and nobody may send, and some that frameworks look for.
FORBIDDEN: dict[str, Any] = {
    "role": "admin",
    "is_staff": "true",
    "is_superuser": "true",
    "is_active": "true",
    "is_admin": "true",
    "groups": "1",
    "user_permissions": "1",
    "second_factor_since": "2020-01-01",
    "id": "00000000-0000-4000-8000-000000000000",
    "pk": "1",
    "owner": "00000000-0000-4000-8000-000000000000",
    "owner_id": "00000000-0000-4000-8000-000000000000",
    "patient": "00000000-0000-4000-8000-000000000000",
    "status": "COMPLETED",
    "stage": "record",
    "result": "1",
    "result_id": "1",
    "category": "benign",
    "attempts": "-1",
    "error_code": "x",
    "image_key": "00",
    "image_purged_at": "2020-01-01T00:00:00Z",
    "held_until": "2099-01-01T00:00:00Z",
    "completed_at": "2020-01-01T00:00:00Z",
    "created_at": "2020-01-01T00:00:00Z",
    "enqueued_at": "2020-01-01T00:00:00Z",
    "claimed_by": "me",
    "width": "1",
    "sha256": "0" * 64,
    "__class__": "x",
    "owner__role": "admin",
}


def row(thing: User | Lesion | Analysis) -> dict[str, Any]:
    thing.refresh_from_db()
    return {
        **model_to_dict(thing),
        **{f.name: f.value_from_object(thing) for f in thing._meta.fields},
    }


def api(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def test_an_upload_takes_none_of_the_rows_own_fields(image_store: object) -> None:
    alice, bob = make_user(), make_user()
    forged = FORBIDDEN | {"owner": str(bob.pk), "owner_id": str(bob.pk), "patient": str(bob.pk)}
    answer = api(alice).post(
        "/api/v1/analyses/", forged | {"image": make_upload()}, format="multipart"
    )
    assert answer.status_code == 202
    analysis = Analysis.objects.get()
    assert (analysis.owner, analysis.status, analysis.attempts) == (alice, "QUEUED", 0)
    assert (analysis.width, analysis.result, analysis.held_until) == (320, None, None)
    assert analysis.created_at.year > 2020
    assert analysis.claimed_by == analysis.error_code == analysis.stage == ""
    assert str(analysis.pk) != FORBIDDEN["id"]


def test_the_forms_of_the_pages_take_none_either(image_store: object) -> None:
    alice = make_user()
    client = Client()
    client.force_login(alice)
    before = row(alice)
    client.post("/accounts/profile/", FORBIDDEN | {"name": before["name"], "language": ""})
    assert row(alice) == before
    client.post("/analyses/new/", FORBIDDEN | {"image": make_upload(), "image_type": "dermoscopic"})
    analysis = Analysis.objects.get()
    assert (analysis.owner, analysis.status, analysis.held_until) == (alice, "QUEUED", None)


def test_a_lesion_stays_its_owners_whatever_is_sent() -> None:
    alice, bob = make_user(), make_user()
    lesion = make_lesion(alice, "mine")
    before = row(lesion)
    forged = FORBIDDEN | {"owner": str(bob.pk), "owner_id": str(bob.pk), "name": "mine"}
    for method in ("patch", "put"):
        getattr(api(alice), method)(f"/api/v1/lesions/{lesion.pk}/", forged, format="json")
    assert row(lesion) == before
    created = api(alice).post("/api/v1/lesions/", forged | {"name": "new"}, format="json")
    assert created.status_code == 201
    assert Lesion.objects.get(name="new").owner == alice


def test_anothers_lesion_cannot_be_named_in_an_upload(image_store: object) -> None:
    theirs = make_lesion(make_user())
    sent = {"image": make_upload(), "lesion": str(theirs.pk)}
    answer = api(make_user()).post("/api/v1/analyses/", sent, format="multipart")
    assert answer.status_code == 400
    assert not Analysis.objects.exists()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": EVIL},
        {"Host": f"localhost:80@{EVIL}"},
        {"Host": f"localhost.{EVIL}"},
        {"Host": "localhost\r\nX-Evil: 1"},
    ],
)
def test_a_foreign_host_is_answered_with_nothing(client: Client, headers: dict[str, str]) -> None:
    for path in ("/", "/accounts/login/", "/api/v1/schema/"):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 400
        assert EVIL not in answer.content.decode()


def test_no_header_puts_a_foreign_host_into_the_reset_mail(client: Client) -> None:
    make_user("alice", password=PASSWORD)
    forged = {"X-Forwarded-Host": EVIL, "X-Host": EVIL, "Forwarded": f"host={EVIL}"}
    client.post("/accounts/password/reset/", {"email": "alice@example.org"}, headers=forged)
    [letter] = delivered()
    assert EVIL not in str(letter.message())


@pytest.mark.parametrize(
    "target",
    [
        f"https://{EVIL}/",
        f"//{EVIL}",
        f"///{EVIL}",
        f"/\\{EVIL}",
        f"\\\\{EVIL}",
        f"https:{EVIL}",
        "javascript:alert(1)",
        f"http://localhost@{EVIL}",
        f"/%09/{EVIL}",
        f"\t//{EVIL}",
    ],
)
def test_no_next_leads_out_of_the_product(client: Client, target: str) -> None:
    make_user("alice", password=PASSWORD)
    sent = {"login": "alice@example.org", "password": PASSWORD, "next": target}
    places = [
        client.post("/i18n/setlang/", {"language": "es", "next": target}),
        client.post("/accounts/login/", sent),
        client.get("/accounts/login/", {"next": target}),
        client.post("/accounts/logout/", {"next": target}),
    ]
    for answer in places:
        place = answer.get("Location", "/")
        assert place.startswith("/")
        assert not place.startswith(("//", "/\\", "/\t"))


def test_a_session_chosen_by_a_stranger_is_not_the_one_that_is_signed_in(client: Client) -> None:
    make_user("alice", password=PASSWORD)
    client.get("/accounts/login/")
    client.cookies["sessionid"] = "x" * 32
    sent = {"login": "alice@example.org", "password": PASSWORD}
    answer = client.post("/accounts/login/", sent)
    assert answer.status_code == 302
    fresh = client.cookies["sessionid"].value
    assert fresh != "x" * 32
    thief = Client()
    thief.cookies["sessionid"] = "x" * 32
    assert thief.get("/dashboard/").status_code == 302
    client.post("/accounts/logout/")
    thief.cookies["sessionid"] = fresh
    assert thief.get("/dashboard/").status_code == 302


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"email": {"a": 1}, "password": []}',
        b'{"email": "a@b.c", "password": "' + b"x" * 100_000 + b'"}',
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        json.dumps({"email": "a\x00@b.c", "password": "\x00"}).encode(),
        b'{"email": NaN, "password": 1e999}',
    ],
    ids=range(10),
)
def test_json_that_is_none_of_ours_is_a_problem_and_no_500(client: Client, body: bytes) -> None:
    answer = client.post("/api/v1/tokens/", body, content_type="application/json")
    assert answer.status_code in {400, 401, 413}
    assert answer.json()["code"]
