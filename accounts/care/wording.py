"""The words in which a patient consents to sharing. They and their version change together.

`accounts.care.services.CARE_WORDING_VERSION` names this wording in each consent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext_lazy as _

from accounts.care.models import CareRelationship

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

Scope = CareRelationship.Scope

CONSENT: Final = _(
    "I agree that this dermatologist sees my record as far as I chose above, and may write an "
    "opinion on it. I can end this at any time."
)
WHAT_THEY_SEE: Final[tuple[StrOrPromise, ...]] = (
    _("The results, outlines and dates of your analyses, your lesions and their names."),
    _("What other dermatologists have answered on those photos."),
    _("A photo only where you asked for it when you sent it, and only until it is deleted."),
    _("Your name and e-mail address. Never your password or anybody else’s record."),
)
SCOPES: Final[dict[str, tuple[StrOrPromise, StrOrPromise]]] = {
    Scope.EVERYTHING.value: (
        _("My whole record"),
        _("What is there already and what you add later."),
    ),
    Scope.FROM_NOW_ON.value: (
        _("Only what I add from now on"),
        _("What you have sent so far stays yours alone."),
    ),
}
