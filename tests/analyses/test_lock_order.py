"""Everybody locks in one order, the trail's end last: two acts never wait for each other for ever.

What is looked at is the order of the statements that the database was sent. SQLite has one lock for
everything and needs no order, but the statements are the same without the words "FOR UPDATE".
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts import people, tokens
from accounts.audit.models import AuditHead
from accounts.care.models import CareRelationship
from accounts.care.services import share
from accounts.models import Role, User
from accounts.recovery import services as recovery
from accounts.recovery.models import SecondFactorReset
from analyses import erasure, retention, reviews
from analyses.models import Advice, Analysis, Lesion, Opinion
from tests.cases import EVERYTHING, Case, make_case, make_ended
from tests.factories import make_analysis, make_lesion, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("image_store")]
LAST = AuditHead._meta.db_table
TABLES = {m: m._meta.db_table for m in (User, CareRelationship, Lesion, Analysis)}


def in_lesion(case: Case) -> Lesion:
    lesion = make_lesion(case.alice)
    make_ended(case.alice, lesion=lesion)
    return lesion


def write(case: Case) -> None:
    reviews.write(
        analysis_id=case.analysis.pk, author=case.bob, opinion=Opinion.BENIGN, advice=Advice.WATCH
    )


def upload_to_a_lesion(case: Case) -> Callable[[], object]:
    lesion = make_lesion(case.alice)
    return lambda: make_analysis(case.alice, lesion=lesion)


def delete_lesion(case: Case, *, keep: bool) -> Callable[[], object]:
    lesion = in_lesion(case)
    return lambda: erasure.delete_lesion(lesion_id=lesion.pk, by=case.alice, keep_analyses=keep)


def amend(case: Case) -> Callable[[], object]:
    write(case)
    review = reviews.own_review(case.bob, case.analysis)
    assert review is not None
    said = {"opinion": Opinion.BENIGN, "advice": Advice.WATCH}
    return lambda: reviews.amend(review_id=review.pk, author=case.bob, **said)


def age(case: Case) -> Callable[[], object]:
    old = timezone.now() - timedelta(days=400)
    Analysis.objects.filter(pk=case.analysis.pk).update(created_at=old)
    return retention.apply


def make_admin() -> User:
    return make_user(role=Role.ADMIN)


def revoke_token(case: Case) -> Callable[[], object]:
    token, _secret = tokens.issue(case.alice)
    return lambda: tokens.revoke(token.pk, of=case.alice)


def ask_for_a_reset(case: Case) -> Callable[[], object]:
    Authenticator.objects.create(user=case.alice, type=Authenticator.Type.TOTP, data={})
    admin = make_admin()
    return lambda: recovery.ask(email=case.alice.email, by=admin)


def confirm_a_reset(case: Case) -> Callable[[], object]:
    reset = ask_for_a_reset(case)()
    assert isinstance(reset, SecondFactorReset)
    second = make_admin()
    return lambda: recovery.confirm(reset_id=reset.pk, by=second)


@pytest.mark.parametrize(
    ("made", "locked"),
    [
        (upload_to_a_lesion, [User, Lesion]),
        (lambda case: lambda: write(case), [User, Analysis]),
        (amend, [User, Analysis]),
        (
            lambda case: lambda: reviews.reveal(analysis_id=case.analysis.pk, to=case.bob),
            [User, Analysis],
        ),
        (
            lambda case: lambda: erasure.delete_analysis(
                analysis_id=case.analysis.pk, by=case.alice
            ),
            [Analysis],
        ),
        (lambda case: delete_lesion(case, keep=False), [Lesion, Analysis]),
        (lambda case: delete_lesion(case, keep=True), [Lesion, Analysis]),
        (
            lambda case: lambda: erasure.withdraw_consent(case.alice),
            [User, CareRelationship, Lesion, Analysis],
        ),
        (
            lambda case: lambda: erasure.erase_account(case.alice),
            [User, CareRelationship, Lesion, Analysis],
        ),
        (
            lambda case: lambda: erasure.erase_account(case.bob),
            [User, CareRelationship, Lesion, Analysis],
        ),
        (age, [Analysis]),
        (
            lambda case: lambda: share(
                patient=case.alice, reference=case.charlie.email, scope=EVERYTHING
            ),
            [User],
        ),
        (lambda case: lambda: tokens.issue(case.alice), [User]),
        (revoke_token, [User]),
        (ask_for_a_reset, [User]),
        (confirm_a_reset, [User]),
        (
            lambda case: lambda: people.rename(case.alice, "A.", by=make_admin()),
            [User],
        ),
    ],
    ids=[
        "upload", "review", "amend", "reveal", "delete", "delete_lesion", "forget_lesion",
        "withdraw", "erase", "erase_dermatologist", "retention", "share", "token", "revoke_token",
        "ask_reset", "confirm_reset", "rename",
    ],
)  # fmt: skip
def test_rows_are_locked_in_one_order_before_the_end_of_the_trail(
    settings: Settings, made: Callable[[Case], Callable[[], object]], locked: list[type]
) -> None:
    settings.RETENTION_DAYS = 365
    act = made(make_case())
    with CaptureQueriesContext(
        connection,
    ) as sent:
        act()
    statements = [query["sql"] for query in sent.captured_queries]
    last = next(n for n, sql in enumerate(statements) if LAST in sql)
    if connection.vendor == "postgresql":
        firsts = [_first_lock(statements, TABLES[model]) for model in locked]
    else:
        firsts = [_first_look(statements, TABLES[model]) for model in locked]
    assert firsts == sorted(firsts), statements
    assert firsts[-1] < last, statements


def test_a_dermatologist_who_goes_has_the_sharings_locked_that_end_with_the_account() -> None:
    case = make_case()
    with CaptureQueriesContext(connection) as sent:
        erasure.erase_account(case.bob)
    statements = [query["sql"] for query in sent.captured_queries]
    look = _first_lock if connection.vendor == "postgresql" else _first_look
    assert (
        '"dermatologist_id"'
        in statements[look(statements, TABLES[CareRelationship])].partition("WHERE")[2]
    )
    assert not CareRelationship.objects.exists()


def test_the_administrations_form_locks_every_administrator_before_it_renames() -> None:
    """It changes name, role and state at once; the role locks them all, and the name is traced."""
    admin, person = make_admin(), make_user("dora")
    client = Client()
    client.force_login(admin)
    path = reverse("admin:accounts_user_change", args=[person.pk])
    with CaptureQueriesContext(connection) as sent:
        answer = client.post(path, {"name": "D.", "role": person.role, "is_active": "on"})
    assert answer.status_code == 302
    person.refresh_from_db()
    assert person.name == "D."
    statements = [query["sql"] for query in sent.captured_queries]
    every = next(
        n
        for n, sql in enumerate(statements)
        if f'FROM "{TABLES[User]}"' in sql and '"role" = ' in sql.partition("WHERE")[2]
    )
    assert every < next(n for n, sql in enumerate(statements) if LAST in sql)


def _first_lock(statements: list[str], table: str) -> int:
    return next(
        n
        for n, sql in enumerate(statements)
        if f'FROM "{table}"' in sql and (" FOR UPDATE" in sql or " FOR NO KEY UPDATE" in sql)
    )


def _first_look(statements: list[str], table: str) -> int:
    return next(
        n
        for n, sql in enumerate(statements)
        if sql.startswith("SELECT") and f'FROM "{table}"' in sql
    )
