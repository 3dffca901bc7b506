"""What a stranger can learn or break by asking often: nothing, and nobody is locked out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest
from django.core.cache import cache
from django.test import Client

from tests.factories import make_user

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery staple"
KNOWN, UNKNOWN = "alice@example.org", "nobody@example.org"
ROUNDS = 5
# Medians of the processor's time: whether an address is known must not make a difference that
# stands out. Hashing is most of it; without the hash an answer takes a tenth.
FACTOR = 2.5


def spent(ask: Callable[[str, int], None], email: str, attempt: int) -> float:
    cache.clear()
    started = time.process_time()
    ask(email, attempt)
    return time.process_time() - started


def compare(ask: Callable[[str, int], None]) -> float:
    """Return how many times as long the dearer of the two takes, each asked in turn."""
    for email in (KNOWN, UNKNOWN):
        spent(ask, email, 0)
    times: dict[str, list[float]] = {KNOWN: [], UNKNOWN: []}
    for attempt in range(1, ROUNDS + 1):
        for email, found in times.items():
            found.append(spent(ask, email, attempt))
    medians = [statistics.median(found) for found in times.values()]
    return max(medians) / min(medians)


def test_signing_in_takes_as_long_for_an_unknown_address() -> None:
    make_user("alice", password=PASSWORD)

    def ask(email: str, attempt: int) -> None:
        Client().post("/accounts/login/", {"login": email, "password": f"wrong {attempt}"})

    assert compare(ask) < FACTOR


def test_getting_a_token_takes_as_long_for_an_unknown_address() -> None:
    make_user("alice", password=PASSWORD)

    def ask(email: str, attempt: int) -> None:
        sent = {"email": email, "password": f"wrong {attempt}"}
        assert Client().post("/api/v1/tokens/", sent).status_code == 401

    assert compare(ask) < FACTOR


def test_asking_for_a_reset_takes_as_long_for_an_unknown_address() -> None:
    make_user("alice", password=PASSWORD)

    def ask(email: str, attempt: int) -> None:
        answer = Client().post("/accounts/password/reset/", {"email": email})
        assert answer.status_code == 302, attempt

    assert compare(ask) < 2 * FACTOR  # no hash in it: milliseconds, so the noise is larger


def test_signing_up_takes_as_long_for_a_taken_address() -> None:
    make_user("alice", password=PASSWORD)

    def ask(email: str, attempt: int) -> None:
        fresh = email if email == KNOWN else f"new{attempt}-{time.time_ns()}@example.org"
        sent = {"email": fresh, "password1": "a long new passphrase", "health_data": "on"}
        assert Client().post("/accounts/signup/", sent).status_code == 302

    assert compare(ask) < FACTOR


def test_a_hundred_guesses_from_many_places_do_not_lock_the_owner_out() -> None:
    make_user("alice", password=PASSWORD)
    refused = 0
    for attempt in range(40):
        answer = Client().post(
            "/accounts/login/",
            {"login": KNOWN, "password": f"guess {attempt}"},
            REMOTE_ADDR=f"198.51.100.{attempt // 10}",
        )
        refused += "seconds" in answer.content.decode() or answer.status_code == 429
    home = Client().post(
        "/accounts/login/", {"login": KNOWN, "password": PASSWORD}, REMOTE_ADDR="203.0.113.9"
    )
    assert home.status_code == 302
    again = Client().post(
        "/accounts/login/", {"login": KNOWN, "password": PASSWORD}, REMOTE_ADDR="198.51.100.0"
    )
    assert again.status_code != 302, "the right password from the guesser's place"
