"""The Django admin: accounts, and nothing clinical.

Permissions follow from the role alone. `secure_admin_login` sends sign-in through the pages, so
that throttling and the second factor hold here too.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import django.contrib.auth.admin  # noqa: F401 - it registers the groups that are taken out below
from allauth.account.decorators import secure_admin_login
from allauth.account.internal.flows.reauthentication import raise_if_reauthentication_required
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from accounts import invitations, people
from accounts.access import note_denied_page
from accounts.models import Role, User

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse, HttpResponseBase

    UserForm = forms.ModelForm[User]
    BaseUserAdmin = admin.ModelAdmin[User]
else:  # generic in the stubs alone
    UserForm = forms.ModelForm
    BaseUserAdmin = admin.ModelAdmin

# The libraries' own pages show addresses, devices and secrets, and would go round our rules.
admin.site.unregister([Authenticator, EmailAddress, Group, UserSession])
admin.site.unregister([SocialAccount, SocialApp, SocialToken])
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
_admin_view = admin.site.admin_view
admin.site.site_header = "DermAI"
admin.site.site_title = "DermAI"
admin.site.index_title = _("Accounts")


LAST_ADMIN: Final = _(
    "This is the last active administrator. Make another person administrator first."
)
# What the list may be narrowed by, in the address; see `UserAdmin.lookup_allowed`.
LOOKUPS: Final = frozenset({"role__exact", "is_active__exact"})


def _own_password(request: HttpRequest, extra_context: object = None) -> HttpResponse:
    """Change one's own password on the pages, where tries are counted and the trail is kept."""
    del request, extra_context
    return redirect("account_change_password")


admin.site.password_change = _own_password  # type: ignore[method-assign,assignment]
admin.site.password_change_done = _own_password  # type: ignore[method-assign,assignment]


def _noting_denials(view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:  # noqa: FBT001, FBT002 - Django's signature
    """Guard a page of the admin as Django does, and note who was turned away."""
    guarded = _admin_view(view, cacheable)

    @wraps(view)
    def noting(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated and not admin.site.has_permission(request):
            note_denied_page(request)
        answer: HttpResponseBase = guarded(request, *args, **kwargs)
        return answer

    return noting


admin.site.admin_view = _noting_denials  # type: ignore[method-assign,assignment]


class InviteForm(UserForm):
    """A new account. The person sets the password from the mailed link."""

    class Meta:
        model = User
        fields: ClassVar = ["email", "name", "role"]

    def clean_email(self) -> str:
        """Refuse a taken address."""
        email = str(self.cleaned_data["email"]).lower()
        if not people.is_free(email):
            raise forms.ValidationError(_("There is an account with this address already."))
        return email

    def _get_validation_exclusions(self) -> set[str]:
        """Leave to `clean_email` whether it is free: what nobody opened may be taken over."""
        others: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return others | {"email"}


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
            raise forms.ValidationError(LAST_ADMIN)
        return cleaned


@admin.register(User)
class UserAdmin(BaseUserAdmin):
    """Invite people, assign roles, close and open accounts."""

    list_display = ("email", "name", "role", "is_active", "date_joined", "last_login")
    list_filter = ("role", "is_active")
    search_fields = ("email", "name")
    ordering = ("email",)
    actions = None  # a choice of accounts at once would be saved beside the services

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

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow the two filters alone.

        Any field of the row could be asked for otherwise, the hash of a password by its beginning
        too, and who has analyses.
        """
        del value, request
        return lookup in LOOKUPS

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Say what the services refuse; nothing of the form is saved then.

        Who gives and takes roles has shown who they are a moment ago, not only this morning.
        """
        raise_if_reauthentication_required(request, app="dermai")
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except people.LastAdminError:
            messages.error(request, LAST_ADMIN)
        except people.OwnRoleError:
            messages.error(request, _("Nobody changes their own role. Ask another administrator."))
        except people.UnconfirmedError:
            messages.error(
                request,
                _(
                    "Nobody has confirmed this address, so the account may be a stranger's. Let "
                    "them confirm it by the mailed link first, or invite the address."
                ),
            )
        except people.TakenError:
            messages.error(request, _("There is an account with this address already."))
        return redirect(request.path)

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
            made = people.invite(email=obj.email, name=obj.name, role=Role(obj.role), by=by)
            obj.pk = made.pk
            obj.refresh_from_db()
            invitations.send(user=obj)
            messages.info(request, _("The invitation has been sent to %s.") % obj.email)
            return
        # All that the acts below lock, in the one order: the trail comes after the accounts.
        people.lock(obj)
        people.rename(obj, obj.name, by=by)
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
