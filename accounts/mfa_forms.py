"""The forms of the second factor. A code that was right once is wrong from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms as base_forms
from allauth.mfa.totp import forms as totp_forms
from allauth.mfa.webauthn import forms as webauthn_forms
from allauth.mfa.webauthn.internal import auth as webauthn
from django.core.exceptions import ValidationError

from accounts import code_limits, failures, second_factor
from accounts.forms import PlainForm

if TYPE_CHECKING:
    from allauth.mfa.models import Authenticator

    from accounts.models import User

# What the library raises for an answer that no browser has made.
MALFORMED: Final = (AttributeError, KeyError, TypeError, ValueError)


class _CodeForm(PlainForm):
    """Spends the code in the field `code`, in our count of tries instead of the library's."""

    user: User
    authenticator: Authenticator

    def clean_code(self) -> str:
        """Check the code and mark it as used; a wrong one stands in the trail."""
        tried = code_limits.count(self.user)
        code: str = self.cleaned_data["code"]
        found = second_factor.verify(self.user, code)
        if found is None:
            failures.record_code(self.user)
            raise get_adapter().validation_error("incorrect_code")
        tried.was_right()
        self.authenticator = found
        return code


class AuthenticateForm(_CodeForm, base_forms.AuthenticateForm):  # type: ignore[misc]  # untyped
    """Asks for a code at sign-in."""


class ReauthenticateForm(_CodeForm, base_forms.ReauthenticateForm):  # type: ignore[misc]  # untyped
    """Asks for a code again before something that matters."""


class _PasskeyForm:
    """Takes the answer of a passkey, counted and noted like a code."""

    user: User
    cleaned_data: dict[str, Any]

    def clean_credential(self) -> Authenticator:
        """Check the answer against the account's passkeys."""
        tried = code_limits.count(self.user)
        answer = self.cleaned_data["credential"]
        try:
            webauthn.parse_authentication_response(answer)
            found = webauthn.complete_authentication(self.user, answer)
        except ValidationError:
            failures.record_code(self.user)
            raise
        except MALFORMED as error:
            failures.record_code(self.user)
            raise get_adapter().validation_error("incorrect_code") from error
        tried.was_right()
        return found


class AuthenticatePasskeyForm(_PasskeyForm, webauthn_forms.AuthenticateWebAuthnForm):  # type: ignore[misc]
    """Asks for a passkey at sign-in."""


class ReauthenticatePasskeyForm(_PasskeyForm, webauthn_forms.ReauthenticateWebAuthnForm):  # type: ignore[misc]
    """Asks for a passkey again before something that matters."""


class ActivateTOTPForm(PlainForm, totp_forms.ActivateTOTPForm):  # type: ignore[misc]
    """Proves that the app has the secret."""

    user: User

    def clean_code(self) -> str:
        """Check the code, then mark it as used."""
        code: str = super().clean_code()
        if not second_factor.spend(self.user, code):
            raise get_adapter().validation_error("incorrect_code")
        return code
