"""The consent to the processing of health data: its words, and the record of its being given.

The wording and its version change together: a consent names the words that the person saw.
Whoever owns a record is its data subject, in every role: export, erasure and sharing take the owner
for the person in the photo, and nothing lets anybody say that it is another. So everybody agrees
before a photo of theirs is taken, a dermatologist and an administrator too.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from allauth.account.utils import has_verified_email
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import locks
from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.models import Consent, User

if TYPE_CHECKING:
    from django.db.models import QuerySet

HEALTH_DATA_VERSION: Final = "2026-11"
# A version before the present one stands here only while its words ask for no less than they do.
ACCEPTED_VERSIONS: Final = frozenset({HEALTH_DATA_VERSION})
HEALTH_DATA_LABEL: Final = _(
    "I agree that DermAI processes the photos of my skin that I upload, and the results, "
    "which are health data."
)
HEALTH_DATA_HINT: Final = _(
    "Each photo is deleted once its analysis has ended. You can withdraw this consent and erase "
    "everything at any time."
)


class Standing(Enum):
    """How a person stands to the consent. Photos are taken with the first one alone."""

    GIVEN = "given"
    OUTDATED = "outdated"  # to words that have changed since
    WITHDRAWN = "withdrawn"
    NEVER_ASKED = "never_asked"  # as after an administrator's invitation


def standing(user: User) -> Standing:
    """Say how `user` stands to the consent now."""
    given = list(_all(user).values_list("wording_version", "withdrawn_at"))
    live = {version for version, withdrawn_at in given if withdrawn_at is None}
    if live & ACCEPTED_VERSIONS:
        return Standing.GIVEN
    if live:
        return Standing.OUTDATED
    return Standing.WITHDRAWN if given else Standing.NEVER_ASKED


def has_consented(user: User) -> bool:
    """Whether `user` agrees to the words that are in force."""
    return standing(user) is Standing.GIVEN


def agree(user: User) -> bool:
    """Give the consent to the present wording; False where it stands already."""
    with transaction.atomic():
        lock_person(user)
        if has_consented(user):
            return False
        give_health_data_consent(user)
    return True


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


def withdraw_health_data_consent(
    user: User, *, by: User | None, reason: str = "replayed"
) -> list[Consent]:
    """Withdraw it from now on; return what was withdrawn. Call it inside a transaction.

    `by` is None where nobody asked: for `reason`, as when it is done again after a restore.

    An upload that is under way has the person's row locked while it looks for the consent and
    stores the photo, so it comes wholly before this or finds no consent.
    """
    lock_person(user)
    given = list(_all(user).filter(withdrawn_at=None))
    for consent in given:
        Consent.objects.filter(pk=consent.pk).update(withdrawn_at=timezone.now())
        details = {"kind": Consent.Kind.HEALTH_DATA.value}
        record(
            Action.CONSENT_WITHDRAWN,
            actor=by,
            subject_id=user.pk,
            object_type="consent",
            object_id=str(consent.pk),
            details=details if by else details | {"reason": reason},
        )
    return given


def forget_unconfirmed(user: User) -> None:
    """Take back what was agreed to with an address that nobody has confirmed.

    It may have been a stranger. Who gets in by the mail to the address is asked anew. Where an
    unconfirmed address lets people in, whoever has been in is left alone: all is theirs.
    """
    if user.last_login is not None or has_verified_email(user):
        return
    with transaction.atomic():
        withdraw_health_data_consent(user, by=None, reason="address never confirmed")


def lock_person(user: User) -> None:
    """Let nobody else change the person's consent, or store a photo of theirs, until the commit."""
    locks.keep(user.pk)


def _all(user: User) -> QuerySet[Consent]:
    return Consent.objects.filter(user=user, kind=Consent.Kind.HEALTH_DATA)
