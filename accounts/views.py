"""The profile: name, language, API tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from allauth.account import views as allauth_views
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import locks, people, rates, tokens
from accounts.access import fresh
from accounts.adapter import remember_language
from accounts.forms import ProfileForm

if TYPE_CHECKING:
    from accounts.models import User

RATES: Final = {"rename": "10/h/user"}


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """Show the account; POST saves name and language."""
    user = cast("User", request.user)
    form = ProfileForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid() and _may_change(request, form):
        with transaction.atomic():
            if locks.keep_open(user) is None:
                raise Http404
            user.save(update_fields=list(form.fields))
            if "name" in form.changed_data:
                people.note_renamed(user, by=user)
        messages.success(request, _("Your profile has been saved."))
        response = redirect("accounts:profile")
        remember_language(response, user)
        return response
    live = user.api_tokens.filter(revoked_at=None, expires_at__gt=timezone.now())
    return render(request, "accounts/profile.html", {"form": form, "tokens": live})


def _may_change(request: HttpRequest, form: ProfileForm) -> bool:
    """Whether the form may be saved: each new name is a line in the trail."""
    if "name" not in form.changed_data:
        return True
    if rates.within(request, "rename", RATES):
        return True
    form.add_error("name", _("You changed your name several times. Try in an hour."))
    return False


# Of use to whom the hospital signs in; who finds the browser open must not set one.
set_password = never_cache(login_required(fresh(allauth_views.password_set)))


@login_required
@require_POST
def revoke_token(request: HttpRequest, token_id: int) -> HttpResponse:
    """End one of the person's own tokens; anybody else's does not exist."""
    if not tokens.revoke(token_id, of=cast("User", request.user)):
        raise Http404
    messages.success(request, _("The token has been revoked."))
    return redirect("accounts:profile")
