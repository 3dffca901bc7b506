"""Everybody locks in one order, the trail's end last: two acts never wait for each other for ever.

What is looked at is the order of the statements that the database was sent. SQLite has one lock for
everything and needs no order, but the statements are the same without the words "FOR UPDATE".
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.audit.models import AuditHead
from accounts.care.models import CareRelationship
from accounts.models import User
from analyses import erasure, retention, reviews
from analyses.models import Advice, Analysis, Lesion, Opinion
from tests.cases import Case, make_case, make_ended
from tests.factories import make_analysis, make_lesion

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
        (age, [Analysis]),
    ],
    ids=[
        "upload", "review", "amend", "reveal", "delete", "delete_lesion", "forget_lesion",
        "withdraw", "erase", "retention",
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
