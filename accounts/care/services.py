"""Share a record, end the sharing. Each opens its own transaction and leaves its trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts import locks
from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.care.models import CareRelationship, InvitationCode, new_code
from accounts.care.signals import sharing_ended

if TYPE_CHECKING:
    import uuid

    from accounts.models import User

CARE_WORDING_VERSION = "2026-11b"


class CareError(Exception):
    """A relationship could not be made. `code` is stable."""

    code = "care_error"


class DermatologistNotFoundError(CareError):
    """Nobody answers to that code or address who could be shared with."""

    code = "dermatologist_not_found"


class AlreadySharedError(CareError):
    """The patient shares with this dermatologist already; end that first to change its scope."""

    code = "already_shared"


def find_dermatologist(*, reference: str) -> User:
    """Return the dermatologist with this invitation code or exact e-mail address.

    Raises `DermatologistNotFoundError`, with one answer for every reason: unknown, no
    dermatologist, deactivated, or an address that nobody has confirmed.
    """
    from accounts.models import Role, User
    from accounts.people import is_confirmed

    reference = reference.strip()
    people = User.objects.filter(role=Role.DERMATOLOGIST, is_active=True)
    if "@" in reference:
        person = people.filter(email__iexact=reference).first()
    else:
        code = reference.upper().replace("-", "").replace(" ", "")
        person = people.filter(invitation_code__code=code).first() if code else None
    if person is None or not is_confirmed(person):
        raise DermatologistNotFoundError
    return person


def share(*, patient: User, reference: str, scope: str) -> CareRelationship:
    """Let the dermatologist behind `reference` see the patient's record, from now.

    Raises `DermatologistNotFoundError`, `AlreadySharedError`.
    """
    dermatologist = find_dermatologist(reference=reference)
    if dermatologist.pk == patient.pk:
        raise DermatologistNotFoundError
    try:
        with transaction.atomic():
            if len(locks.keep(patient.pk, dermatologist.pk)) < len((patient, dermatologist)):
                raise DermatologistNotFoundError
            relationship = CareRelationship.objects.create(
                patient=patient,
                dermatologist=dermatologist,
                scope=CareRelationship.Scope(scope),
                wording_version=CARE_WORDING_VERSION,
            )
            record(
                Action.SHARED,
                actor=patient,
                subject_id=patient.pk,
                object_type="care_relationship",
                object_id=str(relationship.pk),
                details={"with": str(dermatologist.pk), "scope": scope},
            )
    except IntegrityError as error:
        raise AlreadySharedError from error
    return relationship


def revoke(*, relationship_id: uuid.UUID, by: User) -> bool:
    """End a sharing at once; either side may. Return whether this call ended it."""
    with transaction.atomic():
        ended = (
            CareRelationship.objects.filter(pk=relationship_id, revoked_at__isnull=True)
            .filter(_party(by))
            .update(revoked_at=timezone.now())
        )
        if not ended:
            return False
        relationship = CareRelationship.objects.get(pk=relationship_id)
        record(
            Action.UNSHARED,
            actor=by,
            subject_id=relationship.patient_id,
            object_type="care_relationship",
            object_id=str(relationship.pk),
            details={"with": str(relationship.dermatologist_id)},
        )
        sharing_ended.send(sender=CareRelationship, relationship_id=relationship.pk)
    return True


def invitation_code(*, dermatologist: User, renew: bool = False) -> InvitationCode:
    """Return the dermatologist's code, made on the first call and replaced when `renew` is set."""
    with transaction.atomic():
        code, created = InvitationCode.objects.get_or_create(dermatologist=dermatologist)
        if renew and not created:
            code.code, code.renewed_at = new_code(), timezone.now()
            code.save(update_fields=["code", "renewed_at"])
    return code


def name_of(person: User) -> str:
    """Return what a person is called on pages: the name, else the address."""
    return person.name or person.email


def _party(user: User) -> Q:
    return Q(patient=user) | Q(dermatologist=user)
