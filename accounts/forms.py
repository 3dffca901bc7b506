"""Forms of sign-up, sign-in and the profile: label above, hint below it, no placeholder."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, ClassVar, Final

from allauth.account import app_settings
from allauth.account import forms as allauth_forms
from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.email_verification import (
    consume_email_verification_rate_limit,
)
from allauth.account.internal.userkit import filter_users_by_email
from django import forms
from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpResponseRedirect
from django.utils.translation import gettext_lazy as _

from accounts import failures, people, reset_limits
from accounts.consent import (
    HEALTH_DATA_HINT,
    HEALTH_DATA_LABEL,
    forget_unconfirmed,
    give_health_data_consent,
)
from accounts.models import User

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    UserForm = forms.ModelForm[User]
else:  # generic in the stubs alone
    UserForm = forms.ModelForm


# What a field says when it was left empty: what to do, not that something is required.
EMPTY: Final = {
    "email": _("Enter your e-mail address."),
    "login": _("Enter your e-mail address."),
    "password": _("Enter your password."),
    "password1": _("Enter a new password."),
    "password2": _("Enter the new password once more."),
    "oldpassword": _("Enter your present password."),
    "health_data": _("Tick the box if you agree. Without it there can be no account."),
    "code": _("Enter the code."),
}


class PlainForm(forms.Form):
    """Takes the placeholders away: they vanish while typing, the label above stays."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.widget.attrs.pop("placeholder", None)
            if name in EMPTY:
                field.error_messages["required"] = EMPTY[name]
            if name in {"email", "login"}:
                field.label = _("E-mail address")


class SignupForm(PlainForm, allauth_forms.SignupForm):  # type: ignore[misc]  # untyped library
    """Sign-up of a patient, with the consent to the processing of health data."""

    health_data = forms.BooleanField(label=HEALTH_DATA_LABEL, help_text=HEALTH_DATA_HINT)

    field_order = ("email", "password1", "health_data")

    def validate_unique_email(self, value: str) -> str:
        """Note a taken address instead of saying so: the answer must not tell strangers."""
        self.account_already_exists = bool(filter_users_by_email(value))
        return value

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        """Save the account, or answer a taken address as if it had been free."""
        if not self.account_already_exists:
            try:
                with transaction.atomic():
                    return self.save(request), None
            except IntegrityError:
                # Somebody signed up with the address since it was checked.
                self.account_already_exists = True
        self._save_in_vain(request)
        if app_settings.EMAIL_VERIFICATION == app_settings.EmailVerificationMethod.MANDATORY:
            answer: tuple[None, HttpResponse] = super().try_save(request)
            return answer
        email = self.cleaned_data["email"]
        if consume_email_verification_rate_limit(request, email):
            get_adapter().send_account_already_exists_mail(email)
        return None, HttpResponseRedirect(get_adapter().get_signup_redirect_url(request))

    def _save_in_vain(self, request: HttpRequest) -> None:
        """Do what a free address would have taken the time for, and leave nothing of it."""
        given = self.cleaned_data
        self.cleaned_data = given | {"email": f"{uuid.uuid4().hex}@taken.invalid"}
        self.account_already_exists = False
        with transaction.atomic():
            self.save(request)
            transaction.set_rollback(True)
        self.cleaned_data, self.account_already_exists = given, True

    def signup(self, request: HttpRequest, user: User) -> None:
        """Record the new account and its consent, in the transaction that saves it."""
        del request
        people.note_created(user, by=user)
        give_health_data_consent(user)


class LoginForm(PlainForm, allauth_forms.LoginForm):  # type: ignore[misc]  # untyped library
    """Sign-in with address and password."""


class ResetPasswordForm(PlainForm, allauth_forms.ResetPasswordForm):  # type: ignore[misc]
    """Asks for the link that sets a new password."""

    def save(self, request: HttpRequest, **kwargs: Any) -> str:
        """Mail the link, unless the address has had enough of them; nobody is told which."""
        email: str = self.cleaned_data["email"]
        if reset_limits.may_send(request, email):
            super().save(request, **kwargs)
        return email


class ResetPasswordKeyForm(PlainForm, allauth_forms.ResetPasswordKeyForm):  # type: ignore[misc]
    """Sets a new password, from the link."""

    def save(self) -> None:
        """Set it; whoever signed up with an address that was never confirmed agreed for nobody."""
        super().save()
        forget_unconfirmed(self.user)


class ChangePasswordForm(PlainForm, allauth_forms.ChangePasswordForm):  # type: ignore[misc]
    """Sets a new password, signed in."""

    def clean_oldpassword(self) -> str:
        """Note a wrong one in the trail, as at the sign-in."""
        try:
            given: str = super().clean_oldpassword()
        except forms.ValidationError:
            failures.record_password(self.user.email)
            raise
        return given


class ReauthenticateForm(PlainForm, allauth_forms.ReauthenticateForm):  # type: ignore[misc]
    """Asks for the password again before something that matters."""


class ProfileForm(UserForm):
    """What a person may change of their own account."""

    class Meta:
        model = User
        fields: ClassVar = ["name", "language"]
        help_texts: ClassVar = {"language": _("For the pages and for the e-mails to you.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].widget.attrs["autocomplete"] = "name"
        self.fields["language"] = forms.ChoiceField(
            label=_("Language"),
            required=False,
            choices=[("", _("As my browser asks for")), *settings.LANGUAGES],
            help_text=self.fields["language"].help_text,
        )
