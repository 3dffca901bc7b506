"""The right to erasure: one analysis, one lesion, a whole account; and a consent withdrawn.

Each act deletes its pictures as soon as it commits, leaves a tombstone that a restored backup is
held to, and its trace in the trail, where a person is only an id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.utils import timezone

from accounts import consent, people
from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.care.models import CareRelationship
from accounts.care.services import revoke
from accounts.models import User
from accounts.post import letters
from accounts.sessions import ending
from analyses import locks, purging, tombstones
from analyses.models import Analysis, DeletionEvent, Lesion, Tombstone

if TYPE_CHECKING:
    import uuid


class NotYoursError(Exception):
    """There is no such record of this person."""


def delete_analysis(*, analysis_id: uuid.UUID, by: User) -> None:
    """Delete one's own analysis with its result, reviews and picture. Raises `NotYoursError`."""
    with transaction.atomic():
        analysis = Analysis.objects.select_for_update().filter(pk=analysis_id, owner=by).first()
        if analysis is None:
            raise NotYoursError
        _delete_analysis(analysis, by)


def delete_lesion(*, lesion_id: uuid.UUID, by: User, keep_analyses: bool = False) -> int:
    """Delete one's own lesion with its analyses; return how many those were.

    With `keep_analyses` they stay, without it. Raises `NotYoursError`.
    """
    with transaction.atomic():
        lesion = Lesion.objects.select_for_update().filter(pk=lesion_id, owner=by).first()
        if lesion is None:
            raise NotYoursError
        # Locked also where they stay: the database takes the lesion from each.
        ids = locks.these(Analysis.objects.filter(lesion=lesion))
        gone = [] if keep_analyses else list(Analysis.objects.filter(pk__in=ids))
        for analysis in gone:
            _delete_analysis(analysis, by)
        _delete_lesion(lesion, by)
        return len(gone)


def erase_account(user: User) -> None:
    """Erase an account with everything in it. What `user` wrote for patients stays with them.

    Raises `accounts.people.LastAdminError`.
    """
    with transaction.atomic():
        locked = people.lock(user, to_erase=True)
        if locked.is_admin:
            people.require_another_admin(locked)
        _erase(locked, actor=locked)


def withdraw_consent(user: User) -> None:
    """Withdraw the consent: nothing is processed, held or shared any more; results stay.

    Photos under way are deleted unanalysed. A photo that is held can be read by nobody from the
    commit on, whatever becomes of this process: its key goes with the consent.
    """
    with transaction.atomic():
        consent.lock_person(user)
        locks.whole_record(user)
        for given in consent.withdraw_health_data_consent(user, by=user):
            tombstones.bury(Tombstone.Kind.CONSENT, user.pk, given_at=given.given_at)
        for share in CareRelationship.objects.filter(patient=user, revoked_at__isnull=True):
            revoke(relationship_id=share.pk, by=user)
        own = Analysis.objects.filter(owner=user)
        for analysis in own.pending():
            _delete_analysis(analysis, user)
        purging.forget(own, DeletionEvent.Reason.ERASED)


def replay(stones: list[Tombstone]) -> dict[str, int]:
    """Erase and end again what the tombstones name; return how many of each kind were there.

    A lesion's tombstone names the lesion alone. Analyses that were deleted with it have their own;
    those that it does not name were kept, and stay.
    """
    known, kinds = {(stone.kind, stone.digest) for stone in stones}, Tombstone.Kind
    erased = dict.fromkeys(kinds.values, 0)
    with transaction.atomic():
        for stone in stones:
            Tombstone.objects.get_or_create(
                kind=stone.kind, digest=stone.digest, defaults={"at": stone.at}
            )
        # Each list is made when its turn comes: with an account go its lesions.
        for (pk,) in list(tombstones.named(kinds.ACCOUNT, known)):
            _erase(User.objects.get(pk=pk), actor=None)
            erased[kinds.ACCOUNT] += 1
        for (pk,) in list(tombstones.named(kinds.LESION, known)):
            _delete_lesion(Lesion.objects.get(pk=pk), None)
            erased[kinds.LESION] += 1
        for (pk,) in list(tombstones.named(kinds.ANALYSIS, known)):
            _delete_analysis(Analysis.objects.get(pk=pk), None)
            erased[kinds.ANALYSIS] += 1
        for (pk,) in list(tombstones.named(kinds.SHARING, known)):
            _end_sharing(CareRelationship.objects.get(pk=pk))
            erased[kinds.SHARING] += 1
        for pk, _given_at in list(tombstones.named(kinds.CONSENT, known)):
            person = User.objects.get(pk=pk)
            erased[kinds.CONSENT] += len(consent.withdraw_health_data_consent(person, by=None))
    return erased


def _delete_analysis(analysis: Analysis, by: User | None) -> None:
    record(
        Action.DELETED,
        actor=by,
        subject_id=analysis.owner_id,
        object_type="analysis",
        object_id=str(analysis.pk),
        details={} if by else {"reason": "replayed"},
    )
    tombstones.bury(Tombstone.Kind.ANALYSIS, analysis.pk)
    analysis.delete()


def _delete_lesion(lesion: Lesion, by: User | None) -> None:
    record(
        Action.DELETED,
        actor=by,
        subject_id=lesion.owner_id,
        object_type="lesion",
        object_id=str(lesion.pk),
        details={} if by else {"reason": "replayed"},
    )
    tombstones.bury(Tombstone.Kind.LESION, lesion.pk)
    lesion.delete()


def _end_sharing(share: CareRelationship) -> None:
    CareRelationship.objects.filter(pk=share.pk).update(revoked_at=timezone.now())
    record(
        Action.UNSHARED,
        actor=None,
        subject_id=share.patient_id,
        object_type="care_relationship",
        object_id=str(share.pk),
        details={"reason": "replayed"},
    )


def _erase(user: User, *, actor: User | None) -> None:
    locks.whole_record(user)
    record(
        Action.ERASED,
        actor=actor,
        subject_id=user.pk,
        object_type="user",
        object_id=str(user.pk),
        details={} if actor else {"reason": "replayed"},
    )
    tombstones.bury(Tombstone.Kind.ACCOUNT, user.pk)
    # The admin's own log names people by their address.
    content_type = ContentType.objects.get_for_model(User)
    LogEntry.objects.filter(content_type=content_type, object_id=str(user.pk)).delete()
    ending.end_all(user.pk)  # what is left of a session names its person
    email = user.email
    transaction.on_commit(lambda: letters.forget_files(to=email), robust=True)
    user.delete()
