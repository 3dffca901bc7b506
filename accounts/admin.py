"""The Django admin: accounts, and nothing clinical.

Permissions follow from the role alone. `secure_admin_login` sends sign-in through the pages, so
that throttling and the second factor hold here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _

from accounts import people
from accounts.models import Role, User

if TYPE_CHECKING:
    from django.http import HttpRequest

    UserForm = forms.ModelForm[User]
    BaseUserAdmin = admin.ModelAdmin[User]
else:  # generic in the stubs alone
    UserForm = forms.ModelForm
    BaseUserAdmin = admin.ModelAdmin

# The libraries' own pages show addresses, devices and secrets, and would go round our rules.
admin.site.unregister([Authenticator, EmailAddress, Group, UserSession])
admin.site.unregister([SocialAccount, SocialApp, SocialToken])
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.site_header = "DermAI"
admin.site.site_title = "DermAI"
admin.site.index_title = _("Accounts")


class InviteForm(UserForm):
    """A new account. The person sets the password from the mailed link."""

    class Meta:
        model = User
        fields: ClassVar = ["email", "name", "role"]

    def clean_email(self) -> str:
        """Refuse a taken address."""
        email = str(self.cleaned_data["email"]).lower()
        if User.objects.filter(email__iexact=email).exists():
            raise forms.ValidationError(_("There is an account with this address already."))
        return email


class AccountForm(UserForm):
    """What an administrator may change of an account."""

    class Meta:
        model = User
        fields: ClassVar = ["name", "role", "is_active"]

    def clean(self) -> dict[str, Any]:
        """Refuse a change that would leave no active administrator."""
        cleaned = super().clean() or {}
        stays = cleaned.get("role") == Role.ADMIN and cleaned.get("is_active")
        others = User.objects.filter(role=Role.ADMIN, is_active=True).exclude(pk=self.instance.pk)
        was_admin = self.initial.get("role") == Role.ADMIN and self.initial.get("is_active")
        if was_admin and not stays and not others.exists():
            raise forms.ValidationError(
                _("This is the last active administrator. Make another person administrator first.")
            )
        return cleaned


@admin.register(User)
class UserAdmin(BaseUserAdmin):
    """Invite people, assign roles, close and open accounts."""

    list_display = ("email", "name", "role", "is_active", "date_joined", "last_login")
    list_filter = ("role", "is_active")
    search_fields = ("email", "name")
    ordering = ("email",)

    def get_form(
        self,
        request: HttpRequest,
        obj: User | None = None,
        change: bool = False,  # noqa: FBT001, FBT002 - Django's signature
        **kwargs: Any,
    ) -> type[UserForm]:
        """Inviting and changing have a form each."""
        return super().get_form(
            request, obj, change, form=AccountForm if obj else InviteForm, **kwargs
        )

    def get_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Return what stands on the page."""
        del request
        if obj is None:
            return ("email", "name", "role")
        return ("email", "name", "role", "is_active", "date_joined", "last_login")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Return what cannot be changed: the address, once the account exists."""
        del request
        return ("email", "date_joined", "last_login") if obj else ()

    def save_model(
        self,
        request: HttpRequest,
        obj: User,
        form: UserForm,
        change: bool,  # noqa: FBT001 - Django's signature
    ) -> None:
        """Go through the services, which keep the rules and leave the trace."""
        by = cast("User", request.user)
        if not change:
            made = people.create_account(email=obj.email, name=obj.name, role=Role(obj.role), by=by)
            obj.pk = made.pk
            obj.refresh_from_db()
            people.send_invitation(obj, request)
            messages.info(request, _("The invitation has been sent to %s.") % obj.email)
            return
        User.objects.filter(pk=obj.pk).update(name=obj.name)
        people.change_role(obj, Role(form.cleaned_data["role"]), by=by)
        people.set_active(obj, active=form.cleaned_data["is_active"], by=by)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Administrators only."""
        return _is_admin(request)

    def has_view_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Administrators only."""
        del obj
        return _is_admin(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Administrators only."""
        return _is_admin(request)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Administrators only."""
        del obj
        return _is_admin(request)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Nobody: an account is closed here; erasing a record is its owner's act."""
        del request, obj
        return False


def _is_admin(request: HttpRequest) -> bool:
    user = cast("User", request.user)
    return user.is_authenticated and user.is_active and user.is_admin
