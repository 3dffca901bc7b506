"""The analyses of the API: send, follow, list, export; and nothing of anybody else."""

from __future__ import annotations

import io
import uuid
from datetime import timedelta

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from PIL import Image

from accounts.models import Role, User
from analyses import lifecycle
from analyses.models import Analysis, HoldKind
from inference_worker.verdict import Category, Rejection
from tests import images
from tests.api import signed_in
from tests.factories import (
    PASSWORD,
    make_analysis,
    make_lesion,
    make_upload,
    make_user,
    make_verdict,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("image_store")]

FIELDS = {
    *("id", "status", "stage", "error", "created_at", "completed_at", "category", "decided"),
    *("confidence", "gate", "threshold", "votes", "image_type", "held_until", "p_melanoma"),
    *("p_malignant", "probabilities", "members", "quality", "outline", "measurements"),
    *("heatmap_url", "bundle", "image_purged_at", "timings"),
}
URL = "/api/v1/analyses/"


@pytest.fixture
def alice() -> User:
    return make_user("alice")


@pytest.fixture
def bob() -> User:
    return make_user("bob")


def finished(owner: User, category: Category = Category.BENIGN, **options: object) -> Analysis:
    claim = lifecycle.claim(make_analysis(owner, **options).id)
    assert claim is not None
    lifecycle.record(claim, make_verdict(category))
    return Analysis.objects.get(id=claim.analysis_id)


def test_a_photo_is_accepted_with_the_address_of_its_analysis(alice: User) -> None:
    response = signed_in(alice).post(URL, {"image": make_upload()})
    assert response.status_code == 202
    body = response.json()
    assert set(body) == FIELDS
    assert (body["status"], body["category"], body["image_type"]) == ("QUEUED", None, "dermoscopic")
    assert response["Location"].endswith(f"{URL}{body['id']}/")
    assert response["Cache-Control"] == "no-store, private"
    assert signed_in(alice).get(response["Location"]).json() == body


def test_all_fields_of_a_submission_are_taken(alice: User) -> None:
    lesion = make_lesion(alice)
    response = signed_in(alice).post(
        URL,
        {
            "image": make_upload(),
            "lesion": str(lesion.id),
            "body_site": "palms_soles",
            "image_type": "clinical",
            "hold_for_review": "human_requested",
        },
    )
    assert response.status_code == 202
    analysis = Analysis.objects.get()
    assert (analysis.owner, analysis.lesion, analysis.body_site) == (alice, lesion, "palms_soles")
    assert (analysis.image_type, analysis.hold_kind) == ("clinical", "human_requested")
    assert analysis.hold_consented_at is not None
    assert analysis.hold_wording_version


def test_a_photo_left_to_a_human_has_ended_for_the_machine(alice: User) -> None:
    response = signed_in(alice).post(URL, {"image": make_upload(), "hold_for_review": "human_only"})
    assert response.status_code == 202
    body = response.json()
    assert (body["status"], body["category"], body["error"]) == ("HUMAN_ONLY", None, None)
    assert body["held_until"] is not None
    listed = signed_in(alice).get(URL, {"status": "HUMAN_ONLY"}).json()["results"]
    assert [one["id"] for one in listed] == [body["id"]]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("true", HoldKind.GATE_DEFERRED),
        ("gate_deferred", HoldKind.GATE_DEFERRED),
        ("false", HoldKind.NONE),
        ("", HoldKind.NONE),
    ],
)
def test_a_hold_may_be_said_plainly(alice: User, said: str, kind: HoldKind) -> None:
    response = signed_in(alice).post(URL, {"image": make_upload(), "hold_for_review": said})
    assert response.status_code == 202
    assert Analysis.objects.get().hold_kind == kind


def test_what_is_posted_beside_the_fields_changes_nothing(alice: User, bob: User) -> None:
    forged = {"owner": str(bob.id), "status": "COMPLETED", "result": "1", "category": "benign"}
    response = signed_in(alice).post(URL, {"image": make_upload(), **forged})
    assert response.status_code == 202
    analysis = Analysis.objects.get()
    assert (analysis.owner, analysis.status, analysis.result) == (alice, "QUEUED", None)


def test_a_finished_analysis_says_everything(alice: User) -> None:
    analysis = finished(alice, Category.MELANOMA)
    body = signed_in(alice).get(f"{URL}{analysis.id}/").json()
    assert set(body) == FIELDS
    assert body["status"] == "COMPLETED"
    assert (body["category"], body["decided"], body["gate"]) == ("melanoma", True, "fixed")
    assert body["votes"] == {"benign": 0, "suspicious": 0, "malignant": 0, "melanoma": 45}
    assert list(body["probabilities"]) == ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
    assert body["members"] == [{"p_malignant": 0.996}] * 5
    assert body["bundle"] == {"name": "drawn", "version": "1.0.0", "sha256": "b" * 64}
    assert body["outline"][0] == [0.3, 0.3]
    assert body["measurements"]["diameter_px"] == 140.0
    assert body["quality"]["notes"] == ["hair"]
    assert body["timings"]["ensemble"] == 120.0
    assert body["heatmap_url"].endswith("/heatmap.png")


def test_a_rejected_photo_is_named(alice: User) -> None:
    claim = lifecycle.claim(make_analysis(alice).id)
    assert claim is not None
    lifecycle.record(claim, make_verdict(rejection=Rejection.BLURRED))
    body = signed_in(alice).get(f"{URL}{claim.analysis_id}/").json()
    assert (body["status"], body["error"], body["category"]) == ("REJECTED", "blurred", None)


def test_the_heat_map_is_transparent_and_lies_in_its_box(alice: User) -> None:
    analysis = finished(alice)
    response = signed_in(alice).get(f"{URL}{analysis.id}/heatmap.png")
    assert response["Content-Type"] == "image/png"
    assert "no-store" in response["Cache-Control"]
    picture = Image.open(io.BytesIO(response.content))
    assert (picture.mode, picture.size) == ("RGBA", (512, 384))
    alpha = np.asarray(picture)[..., 3]
    assert alpha[:, :60].max() == 0
    assert alpha[:, 460:].max() == 0
    assert alpha[-5, 440] > alpha[5, 70]


def test_there_is_no_heat_map_before_the_result(alice: User) -> None:
    analysis = make_analysis(alice)
    response = signed_in(alice).get(f"{URL}{analysis.id}/heatmap.png")
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize("role", [Role.PATIENT, Role.DERMATOLOGIST, Role.ADMIN])
@pytest.mark.parametrize("tail", ["", "heatmap.png"])
def test_nobody_else_reaches_an_analysis(alice: User, role: str, tail: str) -> None:
    analysis = finished(alice)
    stranger = signed_in(make_user("stranger", role=role))
    response = stranger.get(f"{URL}{analysis.id}/{tail}")
    missing = stranger.get(f"{URL}{uuid.uuid4()}/{tail}")
    assert response.status_code == 404
    assert response.content == missing.content


def test_lists_and_exports_hold_only_ones_own(alice: User, bob: User) -> None:
    finished(alice)
    client = signed_in(bob)
    assert client.get(URL).json()["count"] == 0
    assert b"".join(client.get(f"{URL}export.csv")).count(b"\n") == 1


def test_another_persons_lesion_does_not_exist(alice: User, bob: User) -> None:
    lesion = make_lesion(bob)
    response = signed_in(alice).post(URL, {"image": make_upload(), "lesion": str(lesion.id)})
    assert response.status_code == 400
    assert response.json()["errors"]["lesion"][0]["code"] == "does_not_exist"
    assert not Analysis.objects.exists()


@pytest.mark.parametrize("url", [URL, f"{URL}export.csv", f"{URL}{uuid.UUID(int=7)}/"])
def test_strangers_are_told_to_sign_in(url: str) -> None:
    response = Client().get(url)
    assert response.status_code == 401
    assert response.json()["code"] == "not_authenticated"
    assert response["Content-Type"] == "application/problem+json"
    assert "Bearer" in response["WWW-Authenticate"]


def test_a_session_needs_the_csrf_token_for_unsafe_methods(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    refused = client.post(URL, {"image": make_upload()})
    assert refused.status_code == 403
    assert refused["Content-Type"] == "application/problem+json"
    assert client.get(URL).status_code == 200
    assert not Analysis.objects.exists()


def test_the_same_key_and_file_make_one_analysis(alice: User) -> None:
    client = signed_in(alice)
    first, second = (
        client.post(URL, {"image": make_upload()}, headers={"Idempotency-Key": "k1"})
        for _ in range(2)
    )
    assert first.json()["id"] == second.json()["id"]
    assert second.status_code == 202
    assert Analysis.objects.count() == 1


def test_the_same_key_with_another_file_is_a_conflict(alice: User) -> None:
    client = signed_in(alice)
    client.post(URL, {"image": make_upload()}, headers={"Idempotency-Key": "k1"})
    other = make_upload(images.jpeg(seed=7))
    response = client.post(URL, {"image": other}, headers={"Idempotency-Key": "k1"})
    assert response.status_code == 409
    assert response.json()["code"] == "idempotency_conflict"
    assert Analysis.objects.count() == 1


def test_two_people_may_use_the_same_key(alice: User, bob: User) -> None:
    for person in (alice, bob):
        signed_in(person).post(URL, {"image": make_upload()}, headers={"Idempotency-Key": "k1"})
    assert Analysis.objects.count() == 2


@pytest.mark.parametrize(
    ("upload", "status", "code"),
    [
        (make_upload(b"", name="a.jpg"), 422, "not_an_image"),
        (make_upload(b"hello" * 100, name="a.jpg"), 422, "not_an_image"),
        (make_upload(b"%PDF-1.7 ", name="a.pdf", media_type="application/pdf"), 415, None),
        (make_upload(images.jpeg()[:3000]), 422, "truncated"),
        (make_upload(images.jpeg(80, 80)), 422, "too_small"),
        (make_upload(images.jpeg(), name="a.png", media_type="image/png"), 415, None),
    ],
)
def test_a_refused_photo_is_a_problem_with_a_code(
    alice: User, upload: SimpleUploadedFile, status: int, code: str | None
) -> None:
    upload.seek(0)
    response = signed_in(alice).post(URL, {"image": upload})
    problem = response.json()
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    assert problem["code"] == (code or "unsupported_type")
    assert problem["status"] == status
    assert len(problem["detail"]) > 20
    assert not Analysis.objects.exists()


def test_a_submission_without_a_photo_says_which_field(alice: User) -> None:
    response = signed_in(alice).post(URL, {"image_type": "x-ray"})
    assert response.status_code == 400
    problem = response.json()
    assert problem["code"] == "invalid"
    assert {"image", "image_type"} <= set(problem["errors"])
    assert problem["errors"]["image"][0]["code"] == "required"


def test_unknown_addresses_and_methods_are_problems_too(alice: User) -> None:
    client = signed_in(alice)
    assert client.get("/api/v1/nothing/here").json()["code"] == "not_found"
    assert client.delete(URL).json()["code"] == "method_not_allowed"
    json_body = client.post(URL, data="{}", content_type="application/json")
    assert (json_body.status_code, json_body.json()["code"]) == (415, "unsupported_media_type")


def test_the_list_is_paged_newest_first(alice: User) -> None:
    made = [str(make_analysis(alice).id) for _ in range(3)]
    client = signed_in(alice)
    page = client.get(URL, {"page_size": 2}).json()
    assert page["count"] == 3
    assert [row["id"] for row in page["results"]] == made[:0:-1]
    rest = client.get(page["next"]).json()
    assert [row["id"] for row in rest["results"]] == made[:1]
    assert set(rest["results"][0]) == FIELDS


def test_the_list_is_filtered(alice: User) -> None:
    lesion = make_lesion(alice)
    waiting = make_analysis(alice, lesion=lesion, image_type="clinical")
    done = finished(alice, Category.MELANOMA)
    Analysis.objects.filter(id=done.id).update(created_at=timezone.now() - timedelta(days=9))
    client = signed_in(alice)

    def found(**query: str) -> set[str]:
        return {row["id"] for row in client.get(URL, query).json()["results"]}

    week_ago = (timezone.now() - timedelta(days=7)).isoformat()
    assert found(status="QUEUED") == {str(waiting.id)}
    assert found(category="melanoma") == {str(done.id)}
    assert found(lesion=str(lesion.id)) == {str(waiting.id)}
    assert found(image_type="clinical") == {str(waiting.id)}
    assert found(created_from=week_ago) == {str(waiting.id)}
    assert found(created_before=week_ago) == {str(done.id)}
    assert found(status="QUEUED", category="melanoma") == set()


@pytest.mark.parametrize("query", [{"status": "odd"}, {"created_from": "soon"}, {"lesion": "7"}])
def test_a_filter_that_makes_no_sense_is_refused(alice: User, query: dict[str, str]) -> None:
    response = signed_in(alice).get(URL, query)
    assert response.status_code == 400
    assert set(response.json()["errors"]) == set(query)


def test_a_closed_account_loses_its_token_at_once(alice: User) -> None:
    client = signed_in(alice)
    assert client.get(URL).status_code == 200
    User.objects.filter(id=alice.id).update(is_active=False)
    assert client.get(URL).status_code == 401


def test_a_token_can_be_had_for_the_password() -> None:
    alice = make_user("alice", password=PASSWORD)
    answer = Client().post(
        "/api/v1/tokens/",
        {"email": alice.email, "password": PASSWORD},
        content_type="application/json",
    )
    assert answer.status_code == 201
    bearer = Client(headers={"Authorization": f"Bearer {answer.json()['token']}"})
    assert bearer.get(URL).status_code == 200
