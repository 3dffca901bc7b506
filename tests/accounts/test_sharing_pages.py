"""The pages of sharing: the patient's, the dermatologist's, and the brake on lookups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.care.models import CareRelationship
from accounts.care.services import CARE_WORDING_VERSION, invitation_code, share
from accounts.care.wording import WHAT_THEY_SEE
from accounts.models import Role, User
from tests.analyses_pages.markup import Document
from tests.factories import make_user

if TYPE_CHECKING:
    from django.http import HttpResponse
    from django.test import Client

    from accounts.models import User

pytestmark = pytest.mark.django_db

SHARING = "/accounts/sharing/"


@pytest.fixture
def alice() -> User:
    return make_user("alice")


@pytest.fixture
def bob() -> User:
    return make_user("bob", role=Role.DERMATOLOGIST)


def ask(client: Client, reference: str, **changes: str) -> HttpResponse:
    wish = {"reference": reference, "scope": "everything", "consent": "on"} | changes
    return client.post(SHARING, wish)


def test_a_patient_shares_with_consent_and_sees_with_whom(
    client: Client, alice: User, bob: User
) -> None:
    client.force_login(alice)
    asked = Document(client.get(SHARING).content.decode()).text
    for item in WHAT_THEY_SEE:
        assert str(item) in asked
    assert "What other dermatologists have answered" in asked
    assert ask(client, invitation_code(dermatologist=bob).spelled).status_code == 302
    relationship = CareRelationship.objects.get()
    assert relationship.wording_version == CARE_WORDING_VERSION
    html = client.get(SHARING).content.decode()
    assert bob.email in html
    assert reverse("accounts:end_sharing", args=[relationship.pk]) in html


def test_without_the_consent_nothing_is_shared(client: Client, alice: User, bob: User) -> None:
    client.force_login(alice)
    answer = ask(client, bob.email, consent="")
    assert answer.status_code == 422
    assert "<title>Error:" in answer.content.decode()
    assert not CareRelationship.objects.exists()


def test_an_unknown_scope_is_refused(client: Client, alice: User, bob: User) -> None:
    client.force_login(alice)
    assert ask(client, bob.email, scope="all_patients").status_code == 422
    assert not CareRelationship.objects.exists()


def test_patients_and_unknown_addresses_get_one_answer(
    client: Client, alice: User, bob: User
) -> None:
    make_user("carol")
    client.force_login(alice)
    answers = []
    for address in ("carol@example.org", "nobody@example.org"):
        answer = ask(client, address)
        errors = answer.context["form"].errors.as_json()
        answers.append((answer.status_code, errors))
    assert answers[0] == answers[1]
    assert "No dermatologist uses this" in answers[0][1]


def test_lookups_are_braked_even_with_the_right_answer(
    client: Client, alice: User, bob: User
) -> None:
    client.force_login(alice)
    for n in range(5):
        assert ask(client, f"guess{n}@example.org").status_code == 422
    refused = ask(client, bob.email)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "600")
    assert not CareRelationship.objects.exists()


def test_many_accounts_behind_one_address_are_braked_together(client: Client, bob: User) -> None:
    statuses = []
    for n in range(8):
        client.force_login(make_user(f"sock{n}"))
        statuses += [ask(client, f"guess{i}@example.org").status_code for i in range(4)]
    assert statuses[:30] == [422] * 30
    assert statuses[30:] == [429, 429]


def test_ending_is_a_post_by_one_of_the_two(client: Client, alice: User, bob: User) -> None:
    relationship = share(patient=alice, reference=bob.email, scope="everything")
    address = reverse("accounts:end_sharing", args=[relationship.pk])
    client.force_login(make_user("mallory"))
    assert client.post(address).status_code == 404
    client.force_login(bob)
    assert client.get(address).status_code == 405
    assert client.post(address)["Location"] == reverse("accounts:patients")
    relationship.refresh_from_db()
    assert relationship.revoked_at is not None
    client.force_login(alice)
    assert client.post(address).status_code == 404
    assert "1 sharing" in client.get(SHARING).content.decode()


def test_a_dermatologist_sees_the_code_the_patients_and_can_renew_the_code(
    client: Client, alice: User, bob: User
) -> None:
    share(patient=alice, reference=bob.email, scope="everything")
    client.force_login(bob)
    before = invitation_code(dermatologist=bob).spelled
    html = client.get(reverse("accounts:patients")).content.decode()
    assert before in html
    assert alice.email in html
    assert client.post(reverse("accounts:renew_code")).status_code == 302
    assert before not in client.get(reverse("accounts:patients")).content.decode()


def test_who_became_an_administrator_ends_what_was_shared_and_shares_no_more(
    client: Client, alice: User, bob: User
) -> None:
    shared = share(patient=alice, reference=bob.email, scope="everything")
    User.objects.filter(pk=alice.pk).update(role=Role.ADMIN, second_factor_since=timezone.now())
    alice.refresh_from_db()
    client.force_login(alice)
    for leads_there in ("/accounts/profile/", "/privacy/"):
        assert f'href="{SHARING}"' in client.get(leads_there).content.decode()
    page = client.get(SHARING).content.decode()
    assert bob.email in page
    assert "Share my record" not in page
    assert client.post(reverse("accounts:end_sharing", args=[shared.pk])).status_code == 302
    shared.refresh_from_db()
    assert shared.revoked_at is not None
    assert ask(client, bob.email).status_code == 404
    assert CareRelationship.objects.filter(revoked_at=None).count() == 0


def test_a_patient_has_no_page_of_patients_and_an_admin_shares_nothing(
    client: Client, alice: User
) -> None:
    client.force_login(alice)
    assert client.get(reverse("accounts:patients")).status_code == 404
    assert client.post(reverse("accounts:renew_code")).status_code == 404
    client.force_login(make_user("root", role=Role.ADMIN))
    assert ask(client, "somebody@example.org").status_code == 404
