"""Held cases in the API: before the opinion no answer tells how the model ended."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from accounts.care.services import share
from accounts.models import Role, User
from analyses import lifecycle, reviews
from analyses.models import FailureCode, HoldKind
from inference_worker.verdict import Rejection
from tests.api import signed_in
from tests.cases import EVERYTHING, OPINION
from tests.factories import make_analysis, make_user, make_verdict

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("image_store")]

URL = "/api/v1/analyses/"


@pytest.fixture
def alice() -> User:
    return make_user("alice")


@pytest.fixture
def doctor(alice: User) -> User:
    """Return a dermatologist with whom Alice shares everything."""
    doctor = make_user("doctor", role=Role.DERMATOLOGIST)
    share(patient=alice, reference=doctor.email, scope=EVERYTHING)
    return doctor


ENDS = ("COMPLETED", "REJECTED", "FAILED")


def held(owner: User) -> dict[str, str]:
    """Make one held case of each end that tells of the model; return their ids by their status."""
    ids = {}
    for status in ENDS:
        waiting = make_analysis(
            owner, hold_kind=HoldKind.HUMAN_REQUESTED.value, hold_wording_version="1"
        )
        claim = lifecycle.claim(waiting.id)
        assert claim is not None
        if status == "FAILED":
            assert lifecycle.give_up(claim, FailureCode.TIME_LIMIT)
        else:
            rejection = Rejection.BLURRED if status == "REJECTED" else None
            assert lifecycle.record(claim, make_verdict(rejection=rejection))
        ids[status] = str(waiting.id)
    return ids


def test_before_the_opinion_every_end_looks_the_same_and_after_it_the_owners_is_shown(
    alice: User, doctor: User
) -> None:
    cases = held(alice)
    own, theirs = signed_in(alice), signed_in(doctor)
    hidden = [theirs.get(f"{URL}{one}/").json() for one in cases.values()]
    hidden += theirs.get(URL).json()["results"]
    assert len(hidden) == 2 * len(ENDS)
    for body in hidden:
        for name in ("id", "created_at", "completed_at", "held_until"):
            assert body.pop(name)
        assert body == hidden[0]
    said = [hidden[0][name] for name in ("status", "error", "quality")]
    assert said == ["COMPLETED", None, None]
    for status, one in cases.items():
        reviews.write(analysis_id=uuid.UUID(one), author=doctor, **OPINION)
        body = own.get(f"{URL}{one}/").json()
        assert body["status"] == status
        assert theirs.get(f"{URL}{one}/").json() == body
    rejected = theirs.get(f"{URL}{cases['REJECTED']}/").json()
    assert rejected["error"] == "blurred"
    assert {"sharpness", "ood_distance", "ood_limit"} <= set(rejected["quality"])
    assert theirs.get(f"{URL}{cases['FAILED']}/").json()["error"] == "time_limit"


def test_the_owner_sees_how_a_held_case_ended(alice: User, doctor: User) -> None:
    cases = held(alice)
    bodies = {s: signed_in(alice).get(f"{URL}{one}/").json() for s, one in cases.items()}
    assert {status: body["status"] for status, body in bodies.items()} == {s: s for s in ENDS}
    assert [body["error"] for body in bodies.values()] == [None, "blurred", "time_limit"]
    assert bodies["REJECTED"]["quality"]["notes"] == ["hair"]


def test_no_status_asked_for_tells_how_a_case_ended_before_the_opinion(
    alice: User, doctor: User
) -> None:
    cases = held(alice)
    asked = {"hold_kind": HoldKind.HUMAN_ONLY.value, "hold_wording_version": "1"}
    human = make_analysis(alice, **asked)
    own, theirs = signed_in(alice), signed_in(doctor)

    def found(client: Client, status: str) -> list[str]:
        return [row["id"] for row in client.get(URL, {"status": status}).json()["results"]]

    for status, one in cases.items():
        assert found(own, status) == [one]
        assert found(theirs, status) == []
    assert found(theirs, "HUMAN_ONLY") == [str(human.id)], "of this no model said anything"
    for status, one in cases.items():
        reviews.write(analysis_id=uuid.UUID(one), author=doctor, **OPINION)
        assert found(theirs, status) == [one]
