"""Mail the person for whom an administrator has made an account the link that opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import second_factor
from accounts.post import letters

if TYPE_CHECKING:
    from accounts.models import Letter, User

DAY: Final = 24 * 3600  # s


def send(*, user: User) -> Letter:
    """Write the invitation, in the caller's transaction.

    In the language of the account; a new one has none, so in that of whoever invites.
    """
    with translation.override(user.language or translation.get_language()):
        body = render_to_string(
            "accounts/invitation/email/invited.txt",
            {
                "name": user.name,
                "role": user.get_role_display(),
                "site": settings.PUBLIC_URL,
                "link": settings.PUBLIC_URL + _path(user),
                "days": settings.PASSWORD_RESET_TIMEOUT // DAY,
                "second_factor": second_factor.is_mandatory(user),
            },
        )
        subject = f"{settings.ACCOUNT_EMAIL_SUBJECT_PREFIX}{_('You are invited')}"
    return letters.write(to=user.email, subject=subject, body=body, user=user)


def _path(user: User) -> str:
    """Return where the person sets the first password; only the mail carries it."""
    whose, key = user_pk_to_url_str(user), default_token_generator.make_token(user)
    return reverse("account_reset_password_from_key", kwargs={"uidb36": whose, "key": key})
