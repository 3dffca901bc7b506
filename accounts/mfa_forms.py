"""The forms of the second factor. A code that was right once is wrong from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms as base_forms
from allauth.mfa.totp import forms as totp_forms

from accounts import second_factor
from accounts.forms import PlainForm

if TYPE_CHECKING:
    from accounts.models import User


class _SpendingForm(PlainForm):
    """Spends the code in the field `code`."""

    user: User

    def clean_code(self) -> str:
        """Check the code, then mark it as used."""
        code: str = super().clean_code()  # type: ignore[misc]  # of the form beside this one
        if not second_factor.spend(self.user, code):
            raise get_adapter().validation_error("incorrect_code")
        return code


class AuthenticateForm(_SpendingForm, base_forms.AuthenticateForm):  # type: ignore[misc]
    """Asks for a code at sign-in."""


class ReauthenticateForm(_SpendingForm, base_forms.ReauthenticateForm):  # type: ignore[misc]
    """Asks for a code again before something that matters."""


class ActivateTOTPForm(_SpendingForm, totp_forms.ActivateTOTPForm):  # type: ignore[misc]
    """Proves that the app has the secret."""
