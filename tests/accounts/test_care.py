"""Sharing a record: by code or exact address, only with dermatologists, revocable at once."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction
from pytest_django.fixtures import Settings

from accounts.audit.models import Action, AuditEvent
from accounts.care.models import CareRelationship
from accounts.care.services import (
    AlreadySharedError,
    DermatologistNotFoundError,
    invitation_code,
    revoke,
    share,
)
from accounts.models import Role, User
from tests.factories import make_user

pytestmark = pytest.mark.django_db

EVERYTHING = CareRelationship.Scope.EVERYTHING


@pytest.fixture
def alice() -> User:
    return make_user("alice")


@pytest.fixture
def bob() -> User:
    return make_user("bob", role=Role.DERMATOLOGIST)


@pytest.fixture
def charlie() -> User:
    return make_user("charlie", role=Role.DERMATOLOGIST)


def test_a_patient_shares_by_exact_address_without_case(alice: User, bob: User) -> None:
    share(patient=alice, reference=" Bob@Example.ORG ", scope=EVERYTHING)
    assert CareRelationship.objects.granting(bob).get().patient == alice


def test_a_patient_shares_by_code_as_it_is_read_aloud(alice: User, bob: User) -> None:
    code = invitation_code(dermatologist=bob).code
    share(patient=alice, reference=f"{code[:5].lower()}-{code[5:]}", scope=EVERYTHING)
    assert CareRelationship.objects.granting(bob).count() == 1


def test_a_renewed_code_ends_the_old_one(alice: User, bob: User) -> None:
    old = invitation_code(dermatologist=bob).code
    assert invitation_code(dermatologist=bob).code == old
    assert invitation_code(dermatologist=bob, renew=True).code != old
    with pytest.raises(DermatologistNotFoundError):
        share(patient=alice, reference=old, scope=EVERYTHING)


@pytest.mark.parametrize("reference", ["", "  ", "NOSUCHCODE", "nobody@example.org", "bob@example"])
def test_an_unknown_reference_shares_with_nobody(alice: User, bob: User, reference: str) -> None:
    with pytest.raises(DermatologistNotFoundError):
        share(patient=alice, reference=reference, scope=EVERYTHING)
    assert not CareRelationship.objects.exists()


@pytest.mark.parametrize("role", [Role.PATIENT, Role.ADMIN])
def test_only_a_dermatologist_can_be_shared_with(alice: User, role: Role) -> None:
    make_user("other", role=role)
    with pytest.raises(DermatologistNotFoundError):
        share(patient=alice, reference="other@example.org", scope=EVERYTHING)


def test_nobody_shares_with_themselves(bob: User) -> None:
    with pytest.raises(DermatologistNotFoundError):
        share(patient=bob, reference=bob.email, scope=EVERYTHING)


def test_sharing_twice_is_named_and_changes_nothing(alice: User, bob: User) -> None:
    share(patient=alice, reference=bob.email, scope=EVERYTHING)
    with pytest.raises(AlreadySharedError):
        share(patient=alice, reference=bob.email, scope=CareRelationship.Scope.FROM_NOW_ON)
    assert CareRelationship.objects.get().scope == EVERYTHING


@pytest.mark.parametrize("side", ["alice", "bob"])
def test_either_side_ends_it_at_once(
    alice: User, bob: User, side: str, request: pytest.FixtureRequest
) -> None:
    relationship = share(patient=alice, reference=bob.email, scope=EVERYTHING)
    assert revoke(relationship_id=relationship.pk, by=request.getfixturevalue(side))
    assert not CareRelationship.objects.granting(bob).exists()
    assert not revoke(relationship_id=relationship.pk, by=alice)


def test_a_stranger_cannot_end_it(alice: User, bob: User, charlie: User) -> None:
    relationship = share(patient=alice, reference=bob.email, scope=EVERYTHING)
    assert not revoke(relationship_id=relationship.pk, by=charlie)
    assert CareRelationship.objects.granting(bob).exists()


def test_after_ending_it_can_be_shared_again(alice: User, bob: User) -> None:
    first = share(patient=alice, reference=bob.email, scope=EVERYTHING)
    revoke(relationship_id=first.pk, by=alice)
    share(patient=alice, reference=bob.email, scope=EVERYTHING)
    assert CareRelationship.objects.count() == 2


@pytest.mark.parametrize(
    "change", [{"is_active": False}, {"role": Role.PATIENT}, {"role": Role.ADMIN}]
)
def test_a_dermatologist_who_is_none_any_more_sees_nothing(
    alice: User, bob: User, change: dict[str, object]
) -> None:
    share(patient=alice, reference=bob.email, scope=EVERYTHING)
    User.objects.filter(pk=bob.pk).update(**change)
    assert not CareRelationship.objects.granting(bob).exists()


def test_sharing_and_ending_stand_in_the_trail(alice: User, bob: User) -> None:
    relationship = share(patient=alice, reference=bob.email, scope=EVERYTHING)
    revoke(relationship_id=relationship.pk, by=bob)
    assert list(AuditEvent.objects.values_list("action", "actor_id", "subject_id")) == [
        (Action.SHARED, alice.pk, alice.pk),
        (Action.UNSHARED, bob.pk, alice.pk),
    ]


def test_the_database_refuses_a_second_active_one(alice: User, bob: User) -> None:
    share(patient=alice, reference=bob.email, scope=EVERYTHING)
    with pytest.raises(IntegrityError), transaction.atomic():
        CareRelationship.objects.create(patient=alice, dermatologist=bob, wording_version="1")


def test_whose_address_nobody_confirmed_is_not_found(alice: User, settings: Settings) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    lurker = make_user("lurker", role=Role.DERMATOLOGIST, verified=False)
    for reference in (lurker.email, invitation_code(dermatologist=lurker).code):
        with pytest.raises(DermatologistNotFoundError):
            share(patient=alice, reference=reference, scope=EVERYTHING)
    settings.ACCOUNT_EMAIL_VERIFICATION = "optional"  # embedded, nobody is asked to confirm
    assert share(patient=alice, reference=lurker.email, scope=EVERYTHING).dermatologist == lurker
