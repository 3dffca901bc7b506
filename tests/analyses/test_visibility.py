"""Who sees which analysis: one's own, and what a patient shares, as far as it was shared."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.care.models import CareRelationship
from accounts.care.services import revoke, share
from accounts.models import Role, User
from analyses.models import Analysis, Lesion
from tests.factories import make_user

pytestmark = pytest.mark.django_db

Scope = CareRelationship.Scope


@pytest.fixture
def alice() -> User:
    return make_user("alice")


@pytest.fixture
def bob() -> User:
    return make_user("bob", role=Role.DERMATOLOGIST)


def upload(owner: User, *, lesion: Lesion | None = None, days_ago: int = 0) -> Analysis:
    analysis = Analysis.objects.create(
        owner=owner, lesion=lesion, sha256="0" * 64, width=200, height=150, image_key=b"wrapped"
    )
    created_at = timezone.now() - timedelta(days=days_ago)
    Analysis.objects.filter(pk=analysis.pk).update(created_at=created_at)
    return analysis


def test_a_patient_sees_only_their_own(alice: User) -> None:
    mine = upload(alice)
    upload(make_user("mallory"))
    assert list(Analysis.objects.visible_to(alice)) == [mine]


def test_a_dermatologist_sees_nothing_that_is_not_shared(alice: User, bob: User) -> None:
    upload(alice)
    own = upload(bob)
    assert list(Analysis.objects.visible_to(bob)) == [own]


def test_sharing_everything_shows_the_past_too(alice: User, bob: User) -> None:
    old, new = upload(alice, days_ago=30), upload(alice)
    share(patient=alice, reference=bob.email, scope=Scope.EVERYTHING)
    assert set(Analysis.objects.visible_to(bob)) == {old, new}


def test_sharing_from_now_on_hides_the_past(alice: User, bob: User) -> None:
    mole = Lesion.objects.create(owner=alice, name="Left arm")
    upload(alice, lesion=mole, days_ago=30)
    share(patient=alice, reference=bob.email, scope=Scope.FROM_NOW_ON)
    assert not Analysis.objects.visible_to(bob).exists()
    assert not Lesion.objects.visible_to(bob).exists()
    later = upload(alice, lesion=mole)
    assert list(Analysis.objects.visible_to(bob)) == [later]
    assert list(Lesion.objects.visible_to(bob)) == [mole]


def test_ending_the_sharing_hides_everything_at_once(alice: User, bob: User) -> None:
    mole = Lesion.objects.create(owner=alice, name="Left arm")
    upload(alice, lesion=mole)
    relationship = share(patient=alice, reference=bob.email, scope=Scope.EVERYTHING)
    assert Lesion.objects.visible_to(bob).exists()
    revoke(relationship_id=relationship.pk, by=alice)
    assert not Analysis.objects.visible_to(bob).exists()
    assert not Lesion.objects.visible_to(bob).exists()


def test_one_patients_sharing_opens_nobody_elses_record(alice: User, bob: User) -> None:
    mine = upload(alice)
    upload(make_user("mallory"))
    share(patient=alice, reference=bob.email, scope=Scope.EVERYTHING)
    assert list(Analysis.objects.visible_to(bob)) == [mine]


def test_the_patient_does_not_see_the_dermatologists_uploads(alice: User, bob: User) -> None:
    upload(bob)
    share(patient=alice, reference=bob.email, scope=Scope.EVERYTHING)
    assert not Analysis.objects.visible_to(alice).exists()


def test_an_administrator_sees_no_clinical_content(alice: User, bob: User) -> None:
    upload(alice)
    admin = make_user("root", role=Role.ADMIN)
    CareRelationship.objects.create(patient=alice, dermatologist=admin, wording_version="1")
    assert not Analysis.objects.visible_to(admin).exists()
    assert not Lesion.objects.visible_to(admin).exists()
