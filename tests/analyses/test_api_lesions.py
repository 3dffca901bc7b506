"""The lesions of the API: made, renamed, forgotten; bounded, and nothing of anybody else's."""

from __future__ import annotations

import uuid

import pytest
from pytest_django.fixtures import Settings

from accounts import locks
from accounts.models import User
from analyses.models import Lesion
from tests.api import signed_in
from tests.factories import make_lesion, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("image_store")]
LESIONS = "/api/v1/lesions/"


@pytest.fixture
def alice() -> User:
    return make_user("alice")


@pytest.fixture
def bob() -> User:
    return make_user("bob")


def test_lesions_are_made_renamed_and_forgotten(alice: User, bob: User) -> None:
    client = signed_in(alice)
    lesions = "/api/v1/lesions/"
    made = client.post(lesions, {"name": "Left arm", "owner": str(bob.id)})
    assert made.status_code == 201
    assert made.json()["body_site"] == ""
    one = f"{lesions}{made.json()['id']}/"
    assert (
        client.post(lesions, {"name": "Left arm"}).json()["errors"]["name"][0]["code"] == "unique"
    )
    renamed = client.patch(one, {"name": "Right arm"}, content_type="application/json")
    assert renamed.json()["name"] == "Right arm"
    assert [row["name"] for row in client.get(lesions).json()["results"]] == ["Right arm"]
    assert signed_in(bob).get(one).status_code == 404
    assert signed_in(bob).delete(one).status_code == 404
    assert client.delete(one).status_code == 204
    assert client.get(one).status_code == 404


def test_lesions_are_bounded(alice: User, bob: User, settings: Settings) -> None:
    settings.LESIONS_PER_USER = 1
    make_lesion(bob)
    client = signed_in(alice)
    made = client.post(LESIONS, {"name": "Left arm"})
    assert made.status_code == 201
    refused = client.post(LESIONS, {"name": "Right arm"})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_lesions")
    assert "You follow 1 moles" in refused.json()["detail"]
    assert client.delete(f"{LESIONS}{made.json()['id']}/").status_code == 204
    assert client.post(LESIONS, {"name": "Right arm"}).status_code == 201
    settings.LESIONS_PER_USER = 0
    assert client.post(LESIONS, {"name": "Left arm"}).status_code == 201


def test_changes_of_lesions_are_counted_and_looks_are_not(
    alice: User, bob: User, settings: Settings
) -> None:
    settings.LESION_CHANGES_PER_HOUR = 2
    client = signed_in(alice)
    one = f"{LESIONS}{client.post(LESIONS, {'name': 'Left arm'}).json()['id']}/"
    assert client.delete(one).status_code == 204
    answer = client.post(LESIONS, {"name": "Left arm"})
    assert (answer.status_code, answer["Content-Type"]) == (429, "application/problem+json")
    assert 0 < int(answer["Retry-After"]) <= 3601
    assert client.get(LESIONS).status_code == 200
    assert signed_in(bob).post(LESIONS, {"name": "Left arm"}).status_code == 201
    settings.LESION_CHANGES_PER_HOUR = 0
    assert client.post(LESIONS, {"name": "Left arm"}).status_code == 201


def test_a_name_that_was_taken_since_the_look_is_refused_by_name(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of two requests at one moment: each finds the name free, and the other one is faster."""
    client = signed_in(alice)
    one = f"{LESIONS}{make_lesion(alice, 'Nose').pk}/"

    def taken_meanwhile(*ids: uuid.UUID) -> list[User]:
        make_lesion(alice, "Left arm")
        return keep(*ids)

    keep = locks.keep
    for send in (client.post, client.patch):
        with monkeypatch.context() as patched:
            patched.setattr(locks, "keep", taken_meanwhile)
            address = LESIONS if send == client.post else one
            answer = send(address, {"name": "Left arm"}, content_type="application/json")
        assert answer.status_code == 400
        assert answer.json()["errors"]["name"][0]["code"] == "unique"
        Lesion.objects.filter(name="Left arm").delete()
