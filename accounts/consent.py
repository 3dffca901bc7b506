"""The consent to the processing of health data: its words, and the record of its being given.

The wording and its version change together: a consent names the words that the person saw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.models import Consent

if TYPE_CHECKING:
    from accounts.models import User

HEALTH_DATA_VERSION: Final = "2026-11"
HEALTH_DATA_LABEL: Final = _(
    "I agree that DermAI processes the photos of my skin that I upload, and the results, "
    "which are health data."
)
HEALTH_DATA_HINT: Final = _(
    "Each photo is deleted once its analysis has ended. You can withdraw this consent and erase "
    "everything at any time."
)


def give_health_data_consent(user: User) -> Consent:
    """Record that `user` has agreed to the present wording. Call it inside a transaction."""
    consent = Consent.objects.create(
        user=user, kind=Consent.Kind.HEALTH_DATA, wording_version=HEALTH_DATA_VERSION
    )
    record(
        Action.CONSENT_GIVEN,
        actor=user,
        subject_id=user.pk,
        object_type="consent",
        object_id=str(consent.pk),
        details={"kind": consent.kind, "version": consent.wording_version},
    )
    return consent


def withdraw_health_data_consent(user: User) -> bool:
    """Withdraw it from now on; return whether there was one. Call it inside a transaction."""
    given = Consent.objects.select_for_update().filter(
        user=user, kind=Consent.Kind.HEALTH_DATA, withdrawn_at=None
    )
    ids = list(given.values_list("pk", flat=True))
    for pk in ids:
        Consent.objects.filter(pk=pk).update(withdrawn_at=timezone.now())
        record(
            Action.CONSENT_WITHDRAWN,
            actor=user,
            subject_id=user.pk,
            object_type="consent",
            object_id=str(pk),
            details={"kind": Consent.Kind.HEALTH_DATA.value},
        )
    return bool(ids)


def has_withdrawn(user: User) -> bool:
    """Whether the person took the consent back, and has not given it anew."""
    given = Consent.objects.filter(user=user, kind=Consent.Kind.HEALTH_DATA)
    return given.exists() and not given.filter(withdrawn_at=None).exists()
