"""The export: everything about the person, nothing of anybody else, no secrets."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from PIL import Image

from accounts import people
from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.care.services import invitation_code
from accounts.models import Role, SecondFactorReset, User
from accounts.tokens import issue
from analyses import archive, reviews, trace
from analyses.models import Advice, Analysis, Lesion, Opinion
from tests.cases import OPINION, make_case, make_ended
from tests.factories import make_lesion, make_user

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import DjangoCaptureOnCommitCallbacks

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


def log(by: User, of: User, message: str) -> None:
    LogEntry.objects.create(
        user=by,
        content_type=ContentType.objects.get_for_model(User),
        object_id=str(of.pk),
        object_repr=of.email,
        action_flag=CHANGE,
        change_message=message,
    )


def test_administrators_learn_what_they_did_and_not_to_whom() -> None:
    alice, mallory = make_user("alice"), make_user("mallory")
    root, zoe = make_user("root", role=Role.ADMIN), make_user("zoe", role=Role.ADMIN)
    log(root, alice, '[{"changed": {"fields": ["Name", "Role"]}}]')
    log(root, mallory, '[{"changed": {"name": "person", "object": "mallory", "fields": ["Name"]}}]')
    log(root, mallory, "Renamed mallory.")
    log(zoe, mallory, '["Mallory again."]')
    SecondFactorReset.objects.create(user=mallory, asked_by=root, done_by=zoe)
    SecondFactorReset.objects.create(user=alice, asked_by=root)

    bundle = opened(root)
    everything = b"".join(bundle.read(name) for name in bundle.namelist()).lower()
    for stranger in (b"mallory", b"alice", b"zoe"):
        assert stranger not in everything
    done = [(one["by"], one["by_you"], one["changes"]) for one in read(root, "admin_log.json")]
    assert done == [("Root", True, "Name, Role"), ("Root", True, "Name"), ("Root", True, "")]
    asked = [
        (one["asked_by_you"], one["done_by_you"], one["done_by"])
        for one in read(root, "second_factor_resets.json")
    ]
    assert asked == [(True, False, ""), (True, False, "")]
    confirmed = read(zoe, "second_factor_resets.json")
    assert [(one["asked_by"], one["done_by"]) for one in confirmed] == [("", "Zoe")]

    (entry,) = read(alice, "admin_log.json")
    assert (entry["about_you"], entry["by"], entry["called"]) == (True, "Root", alice.email)
    (reset,) = read(alice, "second_factor_resets.json")
    assert (reset["about_you"], reset["asked_by"], reset["done_by"]) == (True, "Root", "")


def test_dermatologists_take_along_what_they_wrote_and_nothing_that_the_model_said(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    case = make_case()
    reviews.reveal(analysis_id=case.analysis.pk, to=case.bob)
    code = invitation_code(dermatologist=case.bob)
    with django_capture_on_commit_callbacks(execute=True):
        reviews.write(analysis_id=case.analysis.pk, author=case.bob, **OPINION)

    (written,) = read(case.bob, "written_answers.json")
    assert written.items() >= (OPINION | {"analysis": str(case.analysis.pk)}).items()
    assert "model_category" not in written
    assert read(case.bob, "answers.json") == []
    (own,), (of_hers,) = read(case.bob, "reveals.json"), read(case.alice, "reveals.json")
    assert (own["by_you"], of_hers["by_you"], of_hers["by"]) == (True, False, "Bob")
    assert read(case.charlie, "reveals.json") == read(case.charlie, "written_answers.json") == []
    assert read(case.alice, "written_answers.json") == []

    account = read(case.bob, "account.json")
    assert list(account["invitation_codes"][0]) == ["renewed_at"]
    bundle = opened(case.bob)
    assert code.code.encode() not in b"".join(bundle.read(name) for name in bundle.namelist())


def test_the_account_as_a_table_says_all_that_it_says_as_json() -> None:
    case = make_case()
    issue(case.alice)
    issue(case.alice)
    account = read(case.alice, "account.json")
    table = list(csv.DictReader(io.StringIO(opened(case.alice).read("account.csv").decode())))
    told = {(row["part"], row["number"], row["field"]) for row in table}
    parts = {name: value for name, value in account.items() if isinstance(value, list)}
    assert told == {("account", "", name) for name in account.keys() - parts.keys()} | {
        (part, str(number), field)
        for part, entries in parts.items()
        for number, entry in enumerate(entries, start=1)
        for field in entry
    }
    assert len(table) == len(told)
    assert {"part": "shares", "number": "1", "field": "with", "value": "Bob"} in table
    assert ("api_tokens", "2", "created_at") in told


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
    reviews.reveal(analysis_id=case.analysis.pk, to=case.bob)
    with django_capture_on_commit_callbacks(execute=True):
        reviews.write(
            analysis_id=case.analysis.pk, author=case.bob, **OPINION | {"note": "@SUM(1)"}
        )
    case.alice.language = "es"
    case.alice.save()
    bundle = opened(case.alice)
    explained = bundle.read("README.txt").decode()
    assert "sus consentimientos" in explained
    assert explained.startswith("Todo lo que DermAI guarda sobre usted.")
    for name in ("lesions", "analyses", "answers", "access", "deletions", "reveals"):
        rows = list(csv.DictReader(io.StringIO(bundle.read(f"{name}.csv").decode())))
        assert len(rows) == len(json.loads(bundle.read(f"{name}.json"))) > 0
        assert f"{name}.json, {name}.csv" in explained
    (lesion,) = csv.DictReader(io.StringIO(bundle.read("lesions.csv").decode()))
    (answer,) = csv.DictReader(io.StringIO(bundle.read("answers.csv").decode()))
    assert (lesion["name"], answer["note"], answer["by"]) == ("'=1+1", "'@SUM(1)", "Bob")
    for name in bundle.namelist():
        assert name in explained or name.startswith(("photos/", "README"))
