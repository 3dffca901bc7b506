"""Asking for what is somebody else's: a plain 404 outside, a denial in the trail."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from allauth.mfa.models import Authenticator
from django.urls import reverse
from redis.exceptions import RedisError

from accounts import rates
from accounts.audit import denials as limited
from accounts.audit.models import Action, AuditEvent
from accounts.care.models import CareRelationship
from accounts.models import Role
from accounts.tokens import issue
from tests.cases import make_case
from tests.factories import make_analysis, make_lesion, make_upload, make_user

if TYPE_CHECKING:
    from django.test import Client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("image_store")]


def denials() -> list[tuple[str, str]]:
    found = AuditEvent.objects.filter(action=Action.DENIED)
    return list(found.values_list("object_type", "object_id"))


def test_each_kind_of_object_of_somebody_else_is_noted_with_its_owner(client: Client) -> None:
    case = make_case()
    lesion, share = make_lesion(case.alice), CareRelationship.objects.get()
    token, _secret = issue(case.alice)
    mallory = make_user("mallory")
    client.force_login(mallory)
    client.get(reverse("analyses:detail", args=[case.analysis.pk]))
    client.get(reverse("analyses:lesion", args=[lesion.pk]))
    client.get(reverse("api-analysis", args=[case.analysis.pk]))
    client.post(reverse("accounts:end_sharing", args=[share.pk]))
    client.post(reverse("accounts:revoke_token", args=[token.pk]))
    assert denials() == [
        ("analysis", str(case.analysis.pk)),
        ("lesion", str(lesion.pk)),
        ("analysis", str(case.analysis.pk)),
        ("care_relationship", str(share.pk)),
        ("api_token", str(token.pk)),
    ]
    event = AuditEvent.objects.filter(action=Action.DENIED).first()
    assert event is not None
    assert (event.actor_id, event.subject_id) == (mallory.pk, case.alice.pk)


def test_a_bearer_of_a_token_is_noted_as_well(client: Client) -> None:
    case = make_case()
    mallory = make_user("mallory")
    _token, secret = issue(mallory)
    answer = client.get(
        reverse("api-analysis", args=[case.analysis.pk]),
        headers={"Authorization": f"Bearer {secret}"},
    )
    assert answer.status_code == 404
    assert AuditEvent.objects.get(action=Action.DENIED).actor_id == mallory.pk


def test_what_never_existed_or_is_ones_own_is_no_denial(client: Client) -> None:
    case = make_case()
    client.force_login(case.alice)
    client.get(reverse("analyses:detail", args=[uuid.uuid4()]))
    assert client.get(reverse("analyses:preview", args=[case.analysis.pk])).status_code == 404
    client.force_login(case.bob)
    assert client.get(reverse("analyses:heatmap", args=[case.analysis.pk])).status_code == 404
    client.logout()
    client.get(reverse("analyses:detail", args=[case.analysis.pk]))
    assert denials() == []


def test_deleting_what_one_may_only_read_is_noted_and_reading_it_is_not(client: Client) -> None:
    case = make_case()
    client.force_login(case.bob)
    address = reverse("analyses:delete", args=[case.analysis.pk])
    assert client.get(reverse("analyses:review", args=[case.analysis.pk])).status_code == 200
    assert client.get(address).status_code == 404
    assert denials() == []
    assert client.post(address).status_code == 404
    assert denials() == [("analysis", str(case.analysis.pk))]


@pytest.mark.parametrize("act", ["edit", "remove"])
def test_anothers_passkey_is_a_denial_and_a_number_of_nobody_is_none(
    client: Client, act: str
) -> None:
    case = make_case()
    webauthn = Authenticator.Type.WEBAUTHN
    [passkey] = Authenticator.objects.bulk_create(
        [Authenticator(user=case.alice, type=webauthn, data={"name": "drawn"})]
    )
    client.force_login(make_user("mallory"))
    for number in (passkey.pk, passkey.pk + 1):
        answer = client.get(reverse(f"mfa_{act}_webauthn", args=[number]))
        assert answer.status_code == 404
    assert denials() == [("passkey", str(passkey.pk))]
    assert AuditEvent.objects.get(action=Action.DENIED).subject_id == case.alice.pk


@pytest.mark.parametrize("name", ["api-analyses", "api-analyses-export"])
def test_anothers_lesion_in_a_query_is_noted_and_answered_as_one_of_nobody(
    client: Client, name: str
) -> None:
    theirs = make_lesion(make_user("alice"))
    mallory = make_user("mallory", role=Role.DERMATOLOGIST)
    client.force_login(mallory)
    answers = []
    for lesion_id in (theirs.pk, uuid.uuid4()):
        answer = client.get(reverse(name), {"lesion": str(lesion_id)})
        answers.append((answer.status_code, answer.getvalue()))
        assert denials() == [("lesion", str(theirs.pk))]
    assert answers[0] == answers[1]
    assert answers[0][0] == 200
    event = AuditEvent.objects.get(action=Action.DENIED)
    assert (event.actor_id, event.subject_id) == (mallory.pk, theirs.owner_id)


def test_anothers_lesion_in_an_upload_is_noted_and_answered_as_one_of_nobody(
    client: Client,
) -> None:
    theirs = make_lesion(make_user("alice"))
    mallory = make_user("mallory")
    client.force_login(mallory)
    answers = []
    for lesion_id in (str(theirs.pk), str(uuid.uuid4()), "no-id"):
        sent = {"image": make_upload(), "lesion": lesion_id}
        answer = client.post(reverse("api-analyses"), sent)
        answers.append((answer.status_code, answer.content.decode().replace(lesion_id, "ID")))
        assert denials() == [("lesion", str(theirs.pk))]
    assert answers[0] == answers[1]
    assert answers[0][0] == answers[2][0] == 400
    event = AuditEvent.objects.get(action=Action.DENIED)
    assert (event.actor_id, event.subject_id) == (mallory.pk, theirs.owner_id)
    assert not mallory.analyses.exists()


def test_a_lesion_of_ones_own_or_shared_in_a_query_or_an_upload_is_no_denial(
    client: Client,
) -> None:
    case = make_case()
    lesion = make_lesion(case.alice)
    make_analysis(case.alice, lesion=lesion)
    client.force_login(case.alice)
    sent = {"image": make_upload(), "lesion": str(lesion.pk)}
    assert client.post(reverse("api-analyses"), sent).status_code == 202
    for person in (case.alice, case.bob):
        client.force_login(person)
        answer = client.get(reverse("api-analyses"), {"lesion": str(lesion.pk)})
        assert answer.json()["count"] == 2
    assert denials() == []
    # Of a shared one nobody but its owner adds a photo.
    sent = {"image": make_upload(), "lesion": str(lesion.pk)}
    assert client.post(reverse("api-analyses"), sent).status_code == 400
    assert denials() == [("lesion", str(lesion.pk))]


def test_who_names_everybodys_lesions_leaves_a_bounded_trace(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limited, "RATES", limited.RATES | {"denied": "2/h/user"})
    theirs = make_lesion(make_user("alice"))
    client.force_login(make_user("mallory"))
    for _ in range(3):
        client.get(reverse("api-analyses"), {"lesion": str(theirs.pk)})
        sent = {"image": make_upload(), "lesion": str(theirs.pk)}
        client.post(reverse("api-analyses"), sent)
    found = AuditEvent.objects.filter(action=Action.DENIED).order_by("id")
    assert [event.details for event in found] == [{}, {}, {"throttled": True}]


def test_who_asks_for_everything_leaves_a_bounded_trace(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limited, "RATES", limited.RATES | {"denied": "3/h/user"})
    case = make_case()
    strangers = [make_user("mallory"), make_user("trudy")]
    for stranger in strangers:
        client.force_login(stranger)
        for _ in range(4):
            client.get(reverse("analyses:detail", args=[case.analysis.pk]))
            client.get(reverse("admin:index"))
    for stranger in strangers:
        own = AuditEvent.objects.filter(action=Action.DENIED, actor_id=stranger.pk)
        assert [event.details for event in own.order_by("id")] == [{}, {}, {}, {"throttled": True}]


def test_a_denial_is_noted_where_the_cache_does_not_answer(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make_case()
    client.force_login(make_user("mallory"))
    monkeypatch.setattr(rates.ratelimit, "consume", _no_cache)
    assert client.get(reverse("analyses:detail", args=[case.analysis.pk])).status_code == 404
    assert denials() == [("analysis", str(case.analysis.pk))]


def _no_cache(*_args: object, **_options: object) -> None:
    raise RedisError
