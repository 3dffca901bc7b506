"""What a stranger can learn or break by asking often: nothing, and nobody is locked out."""

from __future__ import annotations

import pytest
from allauth.account.signals import password_reset
from allauth.core.internal.ratelimit import parse_rates
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client, RequestFactory

from accounts import code_limits
from accounts.models import User
from tests.factories import make_user
from tests.otp import code
from tests.post import delivered, path_of

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery staple"
KNOWN, UNKNOWN = "alice@example.org", "nobody@example.org"
RESET = "/accounts/password/reset/"
CODE = "/accounts/second-factor/authenticate/"
HOME, ELSEWHERE = "203.0.113.9", "198.51.100.7"


def ask_reset(email: str, address: str) -> int:
    return Client().post(RESET, {"email": email}, REMOTE_ADDR=address).status_code


def test_a_stranger_who_asks_for_resets_neither_keeps_the_owner_out_nor_fills_the_mailbox() -> None:
    make_user("alice", password=PASSWORD)
    assert [ask_reset(KNOWN, ELSEWHERE) for _ in range(9)] == [302] * 9
    assert ask_reset(KNOWN, HOME) == 302
    sent = delivered()
    assert len(sent) == 5
    link = next(word for word in str(sent[-1].body).split() if "/password/reset/key/" in word)
    browser = Client()
    page = browser.get(path_of(link), follow=True)
    new = "a wholly new password"
    browser.post(page.request["PATH_INFO"], {"password1": new, "password2": new})
    assert User.objects.get(email=KNOWN).check_password(new), "the links that were sent open"
    before = len(delivered())
    ask_reset(KNOWN, HOME)
    assert len(delivered()) == before + 1, "those links are spent, so it begins anew"


def test_an_unknown_address_is_answered_and_mailed_as_often() -> None:
    assert [ask_reset(UNKNOWN, ELSEWHERE) for _ in range(9)] == [302] * 9
    assert len(delivered()) == 5


def test_one_address_does_not_ask_for_resets_of_many_accounts() -> None:
    answers = [ask_reset(f"person{n}@example.org", ELSEWHERE) for n in range(21)]
    assert answers == [302] * 20 + [429]


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "Wait a minute"), ("es", "Espere un minuto"), ("ca", "Espereu un minut")],
)
def test_too_often_is_a_page_that_says_when_to_come_again(language: str, words: str) -> None:
    make_user("alice", password=PASSWORD)
    client = Client(headers={"accept-language": language})
    for n in range(20):
        client.post(RESET, {"email": f"person{n}@example.org"}, REMOTE_ADDR=ELSEWHERE)
    pages = [client.post(RESET, {"email": e}, REMOTE_ADDR=ELSEWHERE) for e in (KNOWN, UNKNOWN)]
    assert [(page.status_code, page.headers["Retry-After"]) for page in pages] == [(429, "60")] * 2
    # Before it stands a form's token, another at each request.
    known, unknown = (page.content.decode().partition("<main")[2] for page in pages)
    assert known == unknown
    assert words in known


class Browser(Client):
    """A browser at a place, which has given Alice's password."""

    def __init__(self, place: str) -> None:
        super().__init__(REMOTE_ADDR=place)
        self.post("/accounts/login/", {"login": KNOWN, "password": PASSWORD})

    def gets_in_with(self, typed: str) -> bool:
        return "/dashboard/" in self.post(CODE, {"code": typed}).headers.get("Location", "")


def test_who_has_the_password_does_not_lock_the_owner_out_of_the_second_factor() -> None:
    secret = generate_totp_secret()
    TOTP.activate(make_user("alice", password=PASSWORD), secret)
    thief = Browser(ELSEWHERE)
    for n in range(8):
        assert not thief.gets_in_with(f"00000{n}")
    assert not thief.gets_in_with(code(secret)), "the right code, from the guesser's place"
    body = {"email": KNOWN, "password": PASSWORD, "otp": code(secret)}
    token = Client(REMOTE_ADDR=ELSEWHERE).post("/api/v1/tokens/", body)
    assert token.status_code == 429, "pages and API count together"
    assert Browser(HOME).gets_in_with(code(secret))


def test_a_right_code_buys_no_new_guesses() -> None:
    secret = generate_totp_secret()
    TOTP.activate(make_user("alice", password=PASSWORD), secret)
    for n in range(4):
        Browser(HOME).gets_in_with(f"00000{n}")
    assert Browser(HOME).gets_in_with(code(secret))
    assert not Browser(HOME).gets_in_with("000009")
    assert not Browser(HOME).gets_in_with(code(secret, ahead=1))
    assert Browser(ELSEWHERE).gets_in_with(code(secret, ahead=1)), "from there it is a right one"


def test_codes_guessed_from_everywhere_are_bounded_until_there_is_a_new_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(code_limits.RATES, code_limits.ANYWHERE, "6/d/user")
    secret = generate_totp_secret()
    alice = make_user("alice", password=PASSWORD)
    TOTP.activate(alice, secret)
    for n in range(6):
        Browser(f"198.51.100.{n // 3}").gets_in_with(f"00000{n}")
    assert not Browser(HOME).gets_in_with(code(secret))
    password_reset.send(sender=User, request=RequestFactory().post("/"), user=alice)
    assert Browser(HOME).gets_in_with(code(secret))


def test_the_bound_from_everywhere_is_above_what_one_clinic_mistypes() -> None:
    (rate,) = parse_rates(code_limits.RATES[code_limits.ANYWHERE])
    assert (rate.amount, rate.duration, rate.per) == (100, 24 * 3600, "user")


def test_a_hundred_guesses_from_many_places_do_not_lock_the_owner_out() -> None:
    """Of ten from each place, the last five are refused unread."""
    make_user("alice", password=PASSWORD)
    refused = 0
    for attempt in range(100):
        answer = Client().post(
            "/accounts/login/",
            {"login": KNOWN, "password": f"guess {attempt}"},
            REMOTE_ADDR=f"198.51.100.{attempt // 10}",
        )
        assert answer.status_code == 200
        refused += "Too many failed login attempts" in answer.content.decode()
    assert refused == 50
    home = Client().post(
        "/accounts/login/", {"login": KNOWN, "password": PASSWORD}, REMOTE_ADDR="203.0.113.9"
    )
    assert home.status_code == 302
    again = Client().post(
        "/accounts/login/", {"login": KNOWN, "password": PASSWORD}, REMOTE_ADDR="198.51.100.0"
    )
    assert again.status_code != 302, "the right password from the guesser's place"
