"""Requests that say more than they may: hosts, addresses to go to, fields, other people's ids."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.forms.models import model_to_dict
from django.test import Client
from rest_framework.test import APIClient

from accounts.care.models import CareRelationship
from accounts.care.services import CARE_WORDING_VERSION
from accounts.models import Role, User
from analyses.models import Analysis, Lesion, Review
from tests.cases import OPINION, make_case, make_ended
from tests.factories import make_lesion, make_upload, make_user
from tests.post import delivered

if TYPE_CHECKING:
    from pytest_django.fixtures import SettingsWrapper

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
    sent = FORBIDDEN | {"name": "Another name", "language": ""}
    assert client.post("/accounts/profile/", sent).status_code == 302
    assert row(alice) == before | {"name": "Another name"}
    client.post("/analyses/new/", FORBIDDEN | {"image": make_upload(), "image_type": "dermoscopic"})
    analysis = Analysis.objects.get()
    assert (analysis.owner, analysis.status, analysis.held_until) == (alice, "QUEUED", None)


def test_a_review_takes_none_of_its_rows_own_fields(image_store: object) -> None:
    case = make_case()
    others = make_ended(make_user())
    forged = FORBIDDEN | {
        "analysis": str(others.pk),
        "author": str(case.charlie.pk),
        "author_id": str(case.charlie.pk),
        "author_name": "Somebody Else",
        "blind": "",
        "saw_photo": "",
        "model_category": "melanoma",
        "supersedes": "00000000-0000-4000-8000-000000000000",
        "notified_at": "2020-01-01T00:00:00Z",
    }
    client = Client()
    client.force_login(case.bob)
    before = row(case.analysis) | {"held_until": None, "image_key": None, "image_purged_at": None}
    address = f"/analyses/{case.analysis.pk}/review/"
    assert client.post(address, forged | OPINION).status_code == 302
    written = Review.objects.get()
    assert (written.analysis, written.author) == (case.analysis, case.bob)
    assert (written.author_name, written.opinion) == (case.bob.name, OPINION["opinion"])
    assert (written.blind, written.saw_photo, written.model_category) == (True, True, "suspicious")
    assert (written.supersedes, written.notified_at) == (None, None)
    assert written.created_at.year > 2020
    assert str(written.pk) != FORBIDDEN["id"]
    # The photo's hold ends with the review; nothing else of the analysis changes.
    after = row(case.analysis) | {"held_until": None, "image_key": None, "image_purged_at": None}
    assert after == before


def test_a_sharing_takes_none_of_its_rows_own_fields() -> None:
    alice, bob, charlie = make_user(), *(make_user(role=Role.DERMATOLOGIST) for _ in range(2))
    forged = FORBIDDEN | {
        "patient": str(charlie.pk),
        "patient_id": str(charlie.pk),
        "dermatologist": str(charlie.pk),
        "dermatologist_id": str(charlie.pk),
        "wording_version": "mine",
        "consented_at": "2020-01-01T00:00:00Z",
        "revoked_at": "2020-01-01T00:00:00Z",
    }
    sent = {"reference": bob.email, "scope": "from_now_on", "consent": "on"}
    client = recently_signed_in(alice)
    assert client.post("/accounts/sharing/", forged | sent).status_code == 302
    share = CareRelationship.objects.get()
    assert (share.patient, share.dermatologist) == (alice, bob)
    assert (share.scope, share.revoked_at) == ("from_now_on", None)
    assert (share.wording_version, share.consented_at.year > 2020) == (CARE_WORDING_VERSION, True)
    assert str(share.pk) != FORBIDDEN["id"]
    # Nor does it end otherwise than by its own address.
    ended = {"revoked_at": "2020-01-01T00:00:00Z", "id": str(share.pk)}
    assert client.post("/accounts/sharing/", ended).status_code == 422
    share.refresh_from_db()
    assert share.revoked_at is None
    assert client.post(f"/accounts/sharing/{share.pk}/end/", ended).status_code == 302
    share.refresh_from_db()
    assert share.revoked_at is not None
    assert share.revoked_at.year > 2020


def recently_signed_in(user: User) -> Client:
    """Sign in so that no page asks for the password once more."""
    client = Client()
    client.force_login(user)
    session = client.session
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [{"method": "password", "at": time.time()}]
    session.save()
    return client


def test_a_lesion_stays_its_owners_whatever_is_sent() -> None:
    alice, bob = make_user(), make_user()
    lesion = make_lesion(alice, "mine")
    before = row(lesion)
    forged = FORBIDDEN | {"owner": str(bob.pk), "owner_id": str(bob.pk), "name": "renamed"}
    one = f"/api/v1/lesions/{lesion.pk}/"
    assert api(alice).put(one, forged, format="json").status_code == 405
    assert row(lesion) == before
    assert api(alice).patch(one, forged, format="json").status_code == 200
    assert row(lesion) == before | {"name": "renamed"}
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


@pytest.mark.parametrize("path", ["/accounts/password/reset/", "/accounts/signup/"])
@pytest.mark.parametrize("email", ["alice@example.org", "nobody@example.org"])
def test_links_in_mails_lead_to_the_public_address_whichever_host_was_named(
    client: Client, settings: SettingsWrapper, path: str, email: str
) -> None:
    settings.ALLOWED_HOSTS = [".dermai.example"]
    settings.PUBLIC_URL = "https://www.dermai.example"
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    make_user("alice", password=PASSWORD)
    form = {"email": email, "password1": "a wholly new password", "health_data": "on"}
    assert client.post(path, form, headers={"Host": "taken-over.dermai.example"}).status_code == 302
    [letter] = delivered()
    text = str(letter.message())
    assert "taken-over" not in text
    assert "https://www.dermai.example/accounts/" in text


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
        assert answer.status_code == 302
        place = answer["Location"]
        assert place.startswith("/")
        assert not place.startswith(("//", "/\\", "/\t"))


def test_a_session_chosen_by_a_stranger_is_not_the_one_that_is_signed_in(client: Client) -> None:
    make_user("alice", password=PASSWORD)
    # One that the store knows: of any other key, Django makes a new session anyway.
    planted = SessionStore()
    planted["of"] = "the stranger"
    planted.create()
    assert planted.session_key is not None
    client.cookies["sessionid"] = planted.session_key
    sent = {"login": "alice@example.org", "password": PASSWORD}
    answer = client.post("/accounts/login/", sent)
    assert answer.status_code == 302
    fresh = client.cookies["sessionid"].value
    assert SessionStore(fresh)["of"] == "the stranger", "it was taken up, under another key"
    assert fresh != planted.session_key
    assert client.get("/dashboard/").status_code == 200
    thief = Client()
    thief.cookies["sessionid"] = planted.session_key
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
