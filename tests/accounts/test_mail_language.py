"""Mails speak the language of the account, whoever caused them; the pages that of the browser."""

from __future__ import annotations

import pytest
from django.core.mail import EmailMessage
from django.test import Client
from django.utils import translation

from accounts.models import Role, User
from tests.factories import PASSWORD, make_user
from tests.post import delivered, path_of

pytestmark = pytest.mark.django_db
RESET = "/accounts/password/reset/"
SPANISH = {"accept-language": "es"}
USERS = "/admin/accounts/user/"


def mailed_in(language: str, message: EmailMessage) -> bool:
    """Whether a mail of the library's is in `language`: each begins with a greeting."""
    with translation.override(language):
        return translation.gettext("Hello from %(site_name)s!") % {"site_name": "DermAI"} in str(
            message.body
        )


@pytest.mark.parametrize("language", ["ca", "es", "en"])
def test_a_reset_is_mailed_in_the_language_of_the_account(client: Client, language: str) -> None:
    make_user("alice", password=PASSWORD, language=language)
    client.post(RESET, {"email": "alice@example.org"}, headers=SPANISH)
    (message,) = delivered()
    assert mailed_in(language, message)


def test_an_account_without_a_language_and_an_unknown_one_get_that_of_who_asks(
    client: Client,
) -> None:
    make_user("alice", password=PASSWORD)
    for email in ("alice@example.org", "nobody@example.org"):
        client.post(RESET, {"email": email}, headers=SPANISH)
    assert [mailed_in("es", message) for message in delivered()] == [True, True]


def test_a_taken_address_is_told_so_in_its_own_language(client: Client) -> None:
    make_user("alice", password=PASSWORD, language="ca")
    sent = {"email": "alice@example.org", "password1": "a long new passphrase"}
    client.post("/accounts/signup/", {**sent, "health_data": "on"}, headers=SPANISH)
    (message,) = delivered()
    assert mailed_in("ca", message)


def test_the_answer_is_in_the_language_of_the_browser(client: Client) -> None:
    make_user("alice", password=PASSWORD, language="ca")
    answer = client.post(RESET, {"email": "alice@example.org"}, headers=SPANISH, follow=True)
    assert '<html lang="es">' in answer.content.decode()


@pytest.mark.parametrize(
    ("language", "subject", "words"),
    [
        ("en", "DermAI: You are invited", "within 3 days"),
        ("es", "DermAI: Tiene una invitación", "en el plazo de 3 días"),
        ("ca", "DermAI: Teniu una invitació", "en el termini de 3 dies"),
    ],
)
def test_an_invitation_says_that_it_is_one(
    client: Client, language: str, subject: str, words: str
) -> None:
    client.force_login(make_user("ada", role=Role.ADMIN))
    form = {"email": "derm@example.org", "name": "Dr. D & Sons", "role": Role.DERMATOLOGIST}
    client.post(f"{USERS}add/", form, headers={"accept-language": language})
    (message,) = delivered()
    assert message.subject == subject
    assert words in message.body
    assert "Dr. D & Sons" in message.body
    with translation.override(language):
        assert str(Role.DERMATOLOGIST.label) in message.body
    link = next(word for word in str(message.body).split() if "/password/reset/key/" in word)
    assert Client().get(path_of(link)).status_code == 302, "it opens the page for a password"


@pytest.mark.parametrize(
    ("role", "told"), [(Role.PATIENT, False), (Role.DERMATOLOGIST, True), (Role.ADMIN, True)]
)
def test_an_invitation_names_the_second_factor_to_whom_it_is_asked_of(
    client: Client, role: str, told: bool
) -> None:
    client.force_login(make_user("ada", role=Role.ADMIN))
    client.post(f"{USERS}add/", {"email": "new@example.org", "name": "", "role": role})
    (message,) = delivered()
    assert ("second factor" in message.body) is told
    assert str(message.body).startswith("Hello,\n")
    assert User.objects.get(email="new@example.org").role == role
