"""The form behind which an account is erased."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts import failures

if TYPE_CHECKING:
    from accounts.models import User


class EraseForm(forms.Form):
    """The password, where the account has one, and the confirmation."""

    password = forms.CharField(
        label=_("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    confirm = forms.BooleanField(
        label=_("I know that everything is erased at once and that nobody can bring it back.")
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._user = user
        if not user.has_usable_password():
            # Signed in through a hospital: the page asks for a fresh sign-in instead.
            del self.fields["password"]

    def clean_password(self) -> str:
        """Refuse another password than the account's."""
        password = str(self.cleaned_data["password"])
        if not self._user.check_password(password):
            failures.record_password(self._user.email)
            raise forms.ValidationError(_("This is not your password."), code="wrong_password")
        return password
