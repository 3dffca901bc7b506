"""How long an answer takes does not tell whether an address has an account.

Wall-clock times, as a stranger sees them, of many questions asked in turn, compared by rank
(Mann and Whitney 1947, DOI 10.1214/aoms/1177730491): one slow answer among many moves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import pytest
from allauth.account.auth_backends import AuthenticationBackend
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core.cache import cache
from django.test import Client
from scipy.stats import mannwhitneyu

from accounts.models import User
from tests.factories import make_user

if TYPE_CHECKING:
    from pytest_django.fixtures import SettingsWrapper

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery staple"
KNOWN, UNKNOWN = "alice@example.org", "nobody@example.org"
PAIRS: Final = 32
# Of two that take as long, so many comparisons would be called different: with four of them in a
# run of the tests, one run in 50,000 fails for nothing.
ALPHA: Final = 5e-6
# Two questions never do quite the same: a tenth of an answer, a few ms, is let pass.
TOLERANCE: Final = 1.1
Ask = Callable[[str, int], None]


class QuickHasher(Argon2PasswordHasher):
    """A hash that takes as long as the rest of an answer, not ten times as long, and no lanes."""

    time_cost = 5
    memory_cost = 16 * 1024  # KiB
    parallelism = 1


@pytest.fixture(autouse=True)
def _quick_hashes(settings: SettingsWrapper) -> None:
    """Let the differences beside the hash stand out, and the tests end this minute."""
    settings.PASSWORD_HASHERS = [f"{__name__}.QuickHasher"]


@pytest.fixture
def alice() -> User:
    return make_user("alice", password=PASSWORD)


def spent(ask: Ask, email: str, attempt: int) -> float:
    """Return the seconds until the answer was there."""
    cache.clear()
    started = time.perf_counter()
    ask(email, attempt)
    return time.perf_counter() - started


def tells(ask: Ask) -> bool:
    """Whether the times of known and unknown differ by more than the tolerance, either way."""
    for email in (KNOWN, UNKNOWN):
        spent(ask, email, 0)
    times: dict[str, list[float]] = {KNOWN: [], UNKNOWN: []}
    for attempt in range(1, PAIRS + 1):
        # Each goes first every other time: whatever the first pays for the second is paid by both.
        for email in (KNOWN, UNKNOWN) if attempt % 2 else (UNKNOWN, KNOWN):
            times[email].append(spent(ask, email, attempt))
    return slower(times[KNOWN], times[UNKNOWN]) or slower(times[UNKNOWN], times[KNOWN])


def slower(some: list[float], others: list[float]) -> bool:
    """Whether `some` take longer than `others` by more than the tolerance."""
    allowed = [one * TOLERANCE for one in others]
    return bool(mannwhitneyu(some, allowed, alternative="greater").pvalue < ALPHA / 2)


def sign_in(email: str, attempt: int) -> None:
    sent = {"login": email, "password": f"wrong {attempt}"}
    assert Client().post("/accounts/login/", sent).status_code == 200


@pytest.mark.usefixtures("alice")
def test_signing_in_takes_as_long_for_an_unknown_address() -> None:
    assert not tells(sign_in)


@pytest.mark.usefixtures("alice")
def test_a_hash_that_is_left_out_for_an_unknown_address_would_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(AuthenticationBackend, "_mitigate_timing_attack", lambda *_: None)
    assert tells(sign_in)


@pytest.mark.usefixtures("alice")
def test_getting_a_token_takes_as_long_for_an_unknown_address() -> None:
    def ask(email: str, attempt: int) -> None:
        sent = {"email": email, "password": f"wrong {attempt}"}
        assert Client().post("/api/v1/tokens/", sent).status_code == 401

    assert not tells(ask)


@pytest.mark.usefixtures("alice")
def test_asking_for_a_reset_takes_as_long_for_an_unknown_address() -> None:
    def ask(email: str, attempt: int) -> None:
        answer = Client().post("/accounts/password/reset/", {"email": email})
        assert answer.status_code == 302, attempt

    assert not tells(ask)


@pytest.mark.usefixtures("alice")
def test_signing_up_takes_as_long_for_a_taken_address(settings: SettingsWrapper) -> None:
    """In production: where nobody confirms the address, a new account is signed in at once."""
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"

    def ask(email: str, attempt: int) -> None:
        fresh = email if email == KNOWN else f"new{attempt}-{time.time_ns()}@example.org"
        sent = {"email": fresh, "password1": "a long new passphrase", "health_data": "on"}
        answer = Client().post("/accounts/signup/", sent)
        assert answer["Location"] == "/accounts/confirm-email/"

    assert not tells(ask)
