"""The export: everything about the person, nothing of anybody else, no secrets."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from allauth.mfa.models import Authenticator
from PIL import Image

from accounts import people
from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.models import Role
from accounts.tokens import issue
from analyses import archive, reviews, trace
from analyses.models import Advice, Analysis, Lesion, Opinion
from tests.cases import OPINION, make_case, make_ended
from tests.factories import make_lesion, make_user

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import DjangoCaptureOnCommitCallbacks

    from accounts.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("image_store")]


def opened(user: User) -> zipfile.ZipFile:
    found = zipfile.ZipFile(io.BytesIO(b"".join(archive.archive(user))))
    assert found.testzip() is None
    return found


def read(user: User, name: str) -> Any:
    return json.loads(opened(user).read(name))


def test_everything_about_the_person_is_in_it(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    case = make_case()
    issue(case.alice)
    lesion = make_lesion(case.alice, "Left calf")
    Analysis.objects.filter(pk=case.analysis.pk).update(lesion=lesion)
    trace.opened(case.bob, case.analysis)
    with django_capture_on_commit_callbacks(execute=True):
        reviews.write(
            analysis_id=case.analysis.pk,
            author=case.bob,
            opinion=Opinion.BENIGN,
            advice=Advice.WATCH,
            note="See you",
        )
    account = read(case.alice, "account.json")
    assert account["email"] == case.alice.email
    assert account["consents"][0]["kind"] == "health_data"
    assert account["shares"][0]["with"] == "Bob"
    assert len(account["api_tokens"]) == 1
    assert [one["name"] for one in read(case.alice, "lesions.json")] == ["Left calf"]
    (analysis,) = read(case.alice, "analyses.json")
    assert analysis["result"]["category"] == "suspicious"
    assert analysis["result"]["heatmap"]["grid"]
    assert analysis["answers"][0]["note"] == "See you"
    assert len(read(case.alice, "deletions.json")) == 1
    accesses = read(case.alice, "access.json")
    assert ("read", "Bob", False) in {(a["action"], a["by"], a["by_you"]) for a in accesses}
    rows = list(csv.DictReader(io.StringIO(opened(case.alice).read("analyses.csv").decode())))
    assert [row["id"] for row in rows] == [str(case.analysis.pk)]


def test_a_picture_that_is_kept_is_in_it() -> None:
    case = make_case()
    with opened(case.alice).open(f"photos/{case.analysis.pk}.png") as file:
        assert Image.open(file).size == (case.analysis.width, case.analysis.height)


def test_nothing_of_anybody_else_is_in_it() -> None:
    case = make_case()
    mallory = make_user("mallory")
    Lesion.objects.create(owner=mallory, name="Not Alices")
    theirs = make_ended(mallory, held=True)
    for user in (case.alice, case.bob):
        bundle = opened(user)
        everything = b"".join(bundle.read(name) for name in bundle.namelist())
        assert str(theirs.pk).encode() not in everything
        assert b"Not Alices" not in everything
        assert b"mallory" not in everything
    # A dermatologist's export does not carry the patients' records.
    bundle = opened(case.bob)
    assert read(case.bob, "analyses.json") == []
    assert case.alice.email.encode() not in b"".join(bundle.read(n) for n in bundle.namelist())


def test_who_was_refused_is_a_stranger_and_is_not_named(client: Client) -> None:
    case = make_case()
    mallory = make_user("mallory")
    for stranger in (mallory, case.charlie):
        client.force_login(stranger)
        assert client.get(f"/analyses/{case.analysis.pk}/").status_code == 404
    bundle = opened(case.alice)
    everything = b"".join(bundle.read(name) for name in bundle.namelist()).lower()
    assert b"mallory" not in everything
    assert b"charlie" not in everything
    refused = [one for one in read(case.alice, "access.json") if one["action"] == Action.DENIED]
    told = [(one["by"], one["by_you"], one["role"]) for one in refused]
    assert told == [("", False, Role.PATIENT), ("", False, Role.DERMATOLOGIST)]


def test_staff_who_changed_the_account_are_named() -> None:
    alice, admin = make_user("alice"), make_user("root", role=Role.ADMIN)
    people.rename(alice, "Alice B.", by=admin)
    changes = [one for one in read(alice, "access.json") if one["action"] == Action.PROFILE_CHANGED]
    assert [one["by"] for one in changes] == ["Root"]


def test_no_secret_is_in_it() -> None:
    alice = make_user("alice", password="correct horse battery staple")
    token, secret = issue(alice)
    bundle = opened(alice)
    everything = b"".join(bundle.read(name) for name in bundle.namelist()).decode()
    for secret_text in (secret, token.digest, alice.password):
        assert secret_text not in everything


def test_what_opens_the_account_and_what_failed_to_is_in_it() -> None:
    alice = make_user("alice")
    passkey = {"name": "Blue key", "credential": {"id": "private"}}
    Authenticator.objects.create(user=alice, type=Authenticator.Type.WEBAUTHN, data=passkey)
    Authenticator.objects.create(
        user=alice, type=Authenticator.Type.TOTP, data={"secret": "private"}
    )
    record(
        Action.SIGN_IN_FAILED, actor=None, subject_id=alice.pk, details={"step": "second_factor"}
    )

    account = opened(alice).read("account.json").decode()
    told = [(one["kind"], one["name"]) for one in json.loads(account)["second_factors"]]
    assert sorted(told) == [("totp", ""), ("webauthn", "Blue key")]
    assert "private" not in account
    failed = [e for e in read(alice, "access.json") if e["action"] == Action.SIGN_IN_FAILED]
    assert failed[-1]["details"] == {"step": "second_factor"}


def test_cells_that_a_spreadsheet_would_run_are_escaped() -> None:
    alice = make_user("alice")
    lesion = make_lesion(alice, "=HYPERLINK(1)")
    make_ended(alice, lesion=lesion)
    assert "'=HYPERLINK(1)" in opened(alice).read("analyses.csv").decode()


def test_an_empty_account_exports_too() -> None:
    alice = make_user("alice")
    assert read(alice, "analyses.json") == []
    assert read(alice, "access.json") == []


def test_it_streams_in_pieces() -> None:
    alice = make_user("alice")
    for n in range(300):
        record(Action.SIGNED_IN, actor=alice, subject_id=alice.pk, object_id=str(n))
    pieces = [len(piece) for piece in archive.archive(alice)]
    assert len(pieces) > 300
    assert max(pieces) < sum(pieces)
    assert len(read(alice, "access.json")) == 300


def test_its_files_say_when_they_were_made() -> None:
    (year, *_rest) = opened(make_user("alice")).infolist()[0].date_time
    assert year >= 2026


def test_each_kind_of_record_is_a_table_too_and_explained_in_the_persons_language(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    case = make_case()
    make_lesion(case.alice, "=1+1")
    with django_capture_on_commit_callbacks(execute=True):
        reviews.write(
            analysis_id=case.analysis.pk, author=case.bob, **OPINION | {"note": "@SUM(1)"}
        )
    case.alice.language = "es"
    case.alice.save()
    bundle = opened(case.alice)
    explained = bundle.read("README.txt").decode()
    assert "sus consentimientos" in explained
    for name in ("lesions", "analyses", "answers", "access", "deletions"):
        rows = list(csv.DictReader(io.StringIO(bundle.read(f"{name}.csv").decode())))
        assert len(rows) == len(json.loads(bundle.read(f"{name}.json"))) > 0
        assert f"{name}.json, {name}.csv" in explained
    (lesion,) = csv.DictReader(io.StringIO(bundle.read("lesions.csv").decode()))
    (answer,) = csv.DictReader(io.StringIO(bundle.read("answers.csv").decode()))
    assert (lesion["name"], answer["note"], answer["by"]) == ("'=1+1", "'@SUM(1)", "Bob")
    for name in bundle.namelist():
        assert name in explained or name.startswith(("photos/", "README"))
