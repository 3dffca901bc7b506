"""Nobody waits behind all that somebody else sent: people are served in turn."""

from __future__ import annotations

import random
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Value
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from analyses import lifecycle, turns
from analyses.models import Analysis, Status
from tests.factories import make_analysis, make_user, make_verdict
from tests.states import make_state

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("image_store", "inference_queue"),
]
MANY = 10_000
BY_PLACE = 'ORDER BY "analyses_analysis"."enqueued_at" ASC'
EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN"}


def sent(owner: User, count: int = 1) -> list[Analysis]:
    return [make_analysis(owner) for _ in range(count)]


def waiting(owner: User) -> Analysis:
    """Store a row as if it had been sent now; nothing is decoded or enqueued for it."""
    row = make_state(owner, Status.QUEUED)
    Analysis.objects.filter(pk=row.pk).update(enqueued_at=Now())
    return row


def served(message: Analysis | None = None, *, worker: str = "w1") -> str:
    """Take one photo, for the message of `message`, and name its owner; "" when none waits."""
    claim = lifecycle.claim(message.id if message else uuid.uuid4(), worker=worker)
    if claim is None:
        return ""
    return Analysis.objects.select_related("owner").get(id=claim.analysis_id).owner.name


@pytest.fixture
def alice() -> User:
    return make_user("alice")


@pytest.fixture
def bob() -> User:
    return make_user("bob")


def test_one_photo_waits_for_one_of_somebody_who_sent_six(alice: User, bob: User) -> None:
    messages = [*sent(alice, 6), *sent(bob)]
    order = [served(message) for message in messages]
    assert order == ["Alice", "Bob", *["Alice"] * 5]
    assert served() == ""


def test_people_take_turns_and_each_ones_photos_stay_in_their_order(alice: User, bob: User) -> None:
    of_alice, of_bob, of_eve = sent(alice, 3), sent(bob, 2), sent(make_user("eve"))
    claims = [lifecycle.claim(uuid.uuid4()) for _ in range(6)]
    in_turn = [of_alice[0], of_bob[0], of_eve[0], of_alice[1], of_bob[1], of_alice[2]]
    assert [claim.analysis_id for claim in claims if claim] == [one.id for one in in_turn]


def test_who_comes_later_waits_for_one_photo_of_each_person(alice: User, bob: User) -> None:
    sent(alice, 4)
    assert [served(), served()] == ["Alice", "Alice"]
    sent(bob, 2)
    assert [served() for _ in range(4)] == ["Alice", "Bob", "Alice", "Bob"]


def test_who_deletes_what_was_analysed_gains_no_turn(alice: User, bob: User) -> None:
    sent(alice, 3)
    sent(bob, 2)
    order = []
    for _ in range(4):
        order.append(served())
        Analysis.objects.filter(status=Status.RUNNING).delete()
    assert order == ["Alice", "Bob", "Alice", "Bob"]


def test_a_photo_that_is_tried_again_takes_its_owners_turn_and_no_more(
    alice: User, bob: User
) -> None:
    (poison,) = sent(alice)
    sent(bob, 2)
    assert served() == "Alice"
    lifecycle.release(poison.id, attempt=1)
    assert [served(), served(), served()] == ["Bob", "Alice", "Bob"]


class TestMessages:
    def test_the_message_of_a_photo_that_has_ended_serves_another(
        self, alice: User, bob: User
    ) -> None:
        first, second = sent(alice, 2)
        sent(bob)
        assert served(second) == "Alice"  # her first
        assert served(first) == "Bob"
        assert Analysis.objects.get(id=second.id).status == Status.QUEUED
        assert served(first) == "Alice"
        assert Analysis.objects.get(id=second.id).status == Status.RUNNING

    def test_as_many_messages_as_photos_serve_all_in_whatever_order_they_come(
        self, alice: User, bob: User
    ) -> None:
        messages = [*sent(alice, 3), *sent(bob, 2)]
        random.Random(5).shuffle(messages)  # noqa: S311 - no secret
        assert all(served(message) for message in messages)
        assert not Analysis.objects.filter(status=Status.QUEUED).exists()

    def test_a_photo_is_taken_by_its_own_message_before_it_is_noted_as_sent(
        self, alice: User, bob: User
    ) -> None:
        sent(alice)
        (fresh,) = sent(bob)
        Analysis.objects.filter(id=fresh.id).update(enqueued_at=None)
        assert served(fresh) == "Bob"

    def test_a_photo_that_was_not_sent_takes_nobodys_message(self, alice: User) -> None:
        (unsent,) = sent(alice)
        Analysis.objects.filter(id=unsent.id).update(enqueued_at=None)
        assert served() == ""

    def test_what_was_sent_while_a_worker_looked_is_not_passed_over(
        self, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The photo that the worker saw is gone; the message must find the other one."""
        gone, left = sent(alice, 2)
        look, looks = turns.next_one, []

        def look_then_lose() -> uuid.UUID | None:
            found = look()
            if not looks:
                Analysis.objects.filter(id=gone.id).update(status=Status.RUNNING)
            looks.append(found)
            return found

        monkeypatch.setattr(turns, "next_one", look_then_lose)
        claim = lifecycle.claim(uuid.uuid4())
        assert claim is not None
        assert claim.analysis_id == left.id
        assert looks == [gone.id, left.id]


def test_workers_at_the_same_moment_serve_different_people_and_no_photo_twice(
    alice: User, bob: User
) -> None:
    sent(alice, 4)
    sent(bob, 2)
    sent(make_user("eve"))
    together = threading.Barrier(3)

    def work(number: int) -> list[str]:
        try:
            order = []
            for _ in range(3):
                together.wait(timeout=30)
                order.append(served(worker=f"w{number}"))
            return order
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(work, range(3)))
    rounds = [sorted(one) for one in zip(*found, strict=True)]
    assert rounds[0] == ["Alice", "Bob", "Eve"]
    assert rounds[1] == ["Alice", "Alice", "Bob"]
    assert rounds[2] == ["", "", "Alice"]
    assert set(Analysis.objects.values_list("attempts", "status")) == {(1, Status.RUNNING)}


class TestCompany:
    @staticmethod
    def taken(most: int) -> list[str]:
        first = lifecycle.claim(uuid.uuid4(), worker="w1")
        assert first is not None
        group = [first, *lifecycle.claim_company(first, most=most - 1, worker="w1")]
        names = dict(Analysis.objects.values_list("id", "owner__name"))
        return [names[claim.analysis_id] for claim in group]

    def test_each_person_has_one_photo_in_it_before_any_has_two(
        self, alice: User, bob: User
    ) -> None:
        sent(alice, 6)
        sent(bob, 2)
        sent(make_user("eve"))
        assert self.taken(4) == ["Alice", "Bob", "Eve", "Alice"]
        assert self.taken(3) == ["Alice", "Bob", "Alice"]

    def test_it_passes_the_turn_of_all_that_are_in_it(self, alice: User, bob: User) -> None:
        sent(alice, 3)
        sent(bob, 3)
        sent(make_user("eve"), 2)
        assert self.taken(2) == ["Alice", "Bob"]
        assert sorted(self.taken(3)) == ["Alice", "Bob", "Eve"]
        assert served() != ""

    def test_a_photo_that_somebody_else_holds_is_left_out(self, alice: User, bob: User) -> None:
        if connection.vendor == "sqlite":
            assert not connection.features.has_select_for_update  # one writer at a time
            return
        sent(alice)
        (held,) = sent(bob)
        (free,) = sent(make_user("eve"))
        ready, over = threading.Event(), threading.Event()

        def hold() -> None:
            from django.db import transaction

            try:
                with transaction.atomic():
                    Analysis.objects.select_for_update().get(id=held.id)
                    ready.set()
                    over.wait(30)
            finally:
                connection.close()

        holder = threading.Thread(target=hold)
        holder.start()
        ready.wait(30)
        first = lifecycle.claim(uuid.uuid4())
        assert first is not None
        company = lifecycle.claim_company(first, most=5)
        over.set()
        holder.join()
        assert [claim.analysis_id for claim in company] == [free.id]


@pytest.mark.parametrize("clock_stands", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_the_place_that_is_told_is_the_place_that_one_has(
    seed: int, monkeypatch: pytest.MonkeyPatch, *, clock_stands: bool
) -> None:
    if clock_stands:  # as it does where all of this happens in one tick of SQLite's
        now = timezone.now()
        monkeypatch.setattr(turns, "Now", lambda: Value(now))
    chance = random.Random(seed)  # noqa: S311 - no secret
    people = [make_user() for _ in range(4)]
    for _ in range(8):
        waiting(chance.choice(people))
    for _ in range(chance.randrange(4)):
        served()
    for _ in range(6):
        waiting(chance.choice(people))
    queued = list(Analysis.objects.filter(status=Status.QUEUED))
    told = {analysis.id: turns.position(analysis) for analysis in queued}
    claims = [lifecycle.claim(uuid.uuid4()) for _ in queued]
    order = [claim.analysis_id for claim in claims if claim]
    assert order == sorted(told, key=lambda one: told[one])
    assert sorted(told.values()) == list(range(1, len(queued) + 1))


def test_who_no_longer_waits_has_no_place(alice: User) -> None:
    (analysis,) = sent(alice)
    assert turns.position(analysis) == 1
    claim = lifecycle.claim(analysis.id)
    assert claim is not None
    assert turns.position(analysis) == 0
    lifecycle.record(claim, make_verdict())
    assert turns.position(analysis) == 0


def test_ten_thousand_that_wait_are_not_gone_through_to_find_the_next(alice: User) -> None:
    people = [make_user() for _ in range(100)]
    now = timezone.now()
    Analysis.objects.bulk_create(
        Analysis(
            owner=people[number % len(people)],
            sha256="0" * 64,
            width=600,
            height=450,
            image_key=b"key",
            enqueued_at=now - timedelta(milliseconds=MANY - number),
        )
        for number in range(MANY)
    )
    last = waiting(alice)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with CaptureQueriesContext(connection) as asked:
        assert served() != ""
    (looked,) = [
        one["sql"] for one in asked if one["sql"].endswith("LIMIT 1") and BY_PLACE in one["sql"]
    ]
    with connection.cursor() as cursor:
        cursor.execute(f"{EXPLAIN[connection.vendor]} {looked}")
        plan = " ".join(map(str, cursor.fetchall()))
    assert "analysis_reconcile" in plan
    assert len(asked) < 20
    assert turns.position(last) == len(people)  # who was served now comes after
