"""Make accounts and change what they may do. Each leaves its trace in the trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allauth.account import app_settings
from allauth.account.models import EmailAddress
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from accounts import locks, tokens
from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.consent import withdraw_health_data_consent
from accounts.models import Role, User
from accounts.sessions import ending

if TYPE_CHECKING:
    from django.db.models import QuerySet


class LastAdminError(Exception):
    """The change would leave no active administrator. Make another person administrator first."""


class TakenError(Exception):
    """There is an account with the address, and somebody has opened it."""


class UnconfirmedError(Exception):
    """Nobody has confirmed the account's address: it may be a stranger's. Invite the address."""


class OwnRoleError(Exception):
    """Nobody changes their own role. Ask another administrator."""


def create_account(
    *, email: str, role: Role, by: User | None, name: str = "", password: str | None = None
) -> User:
    """Create an account whose address counts as verified, as somebody vouches for it.

    Without `password` nobody can sign in before a reset. `by` is None for the first accounts of
    an installation.
    """
    with transaction.atomic():
        if by:  # the log of the admin's pages will refer to who made it
            locks.keep(by.pk)
        user = User.objects.create_user(email, password, role=role, name=name)
        EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
        note_created(user, by=by)
    return user


def note_created(user: User, *, by: User | None, how: str = "") -> None:
    """Write to the trail that `user` has an account now, of which role, and how it was made."""
    record(
        Action.ACCOUNT_CREATED,
        actor=by,
        subject_id=user.pk,
        object_type="user",
        object_id=str(user.pk),
        details={"role": str(user.role)} | ({"by": how} if how else {}),
    )


def invite(*, email: str, role: Role, by: User, name: str = "") -> User:
    """Create an account for `email`, as `create_account`; take over one that nobody ever opened.

    Somebody may have signed up with the address of another, and lies in wait: what they set, and
    agreed to, goes. Raises `TakenError`.
    """
    with transaction.atomic():
        taken = User.objects.filter(email__iexact=email).first()
        if taken is None:
            return create_account(email=email, role=role, by=by, name=name)
        locks.keep(taken.pk, by.pk)
        user = _never_opened().filter(pk=taken.pk).first()
        if user is None:
            raise TakenError
        withdraw_health_data_consent(user, by=None, reason="address never confirmed")
        tokens.end_all(user.pk)
        ending.end_all(user.pk)
        user.set_unusable_password()
        user.name, user.role = name, role
        user.save(update_fields=["password", "name", "role"])
        EmailAddress.objects.filter(user=user).update(verified=True, primary=True)
        note_created(user, by=by, how="invitation, over a sign-up")
    return user


def is_free(email: str) -> bool:
    """Whether `email` can be invited: nobody has opened an account with it."""
    taken = User.objects.filter(email__iexact=email)
    return not taken.exists() or _never_opened().filter(email__iexact=email).exists()


def is_confirmed(user: User) -> bool:
    """Whether the address is the person's own, as far as this place asks anybody to show it."""
    if app_settings.EMAIL_VERIFICATION != app_settings.EmailVerificationMethod.MANDATORY:
        return True
    confirmed = EmailAddress.objects.filter(user=user, email__iexact=user.email, verified=True)
    return bool(confirmed.exists())


def _never_opened() -> QuerySet[User]:
    """Return accounts that a sign-up made whose address was never confirmed, nor used to get in."""
    confirmed = EmailAddress.objects.filter(user=OuterRef("pk"), verified=True)
    asked = EmailAddress.objects.filter(user=OuterRef("pk"), verified=False)
    signed_up = User.objects.filter(role=Role.PATIENT, last_login=None, is_active=True)
    return signed_up.filter(Exists(asked), ~Exists(confirmed))


def rename(user: User, name: str, *, by: User) -> None:
    """Call `user` by another name.

    Patients know their dermatologist by it, so that somebody did so stands in the trail; neither
    name does.
    """
    with transaction.atomic():
        locks.keep(user.pk, by.pk)
        if not User.objects.filter(pk=user.pk).exclude(name=name).update(name=name):
            return
        note_renamed(user, by=by)
    user.name = name


def note_renamed(user: User, *, by: User) -> None:
    """Write to the trail that `by` gave `user` another name."""
    record(
        Action.PROFILE_CHANGED,
        actor=by,
        subject_id=user.pk,
        object_type="user",
        object_id=str(user.pk),
        details={"what": "name"},
    )


def note_new_password(user: User) -> None:
    """Write to the trail that whoever runs this place set a password, and end what was open."""
    with transaction.atomic():
        locks.keep(user.pk)
        tokens.end_all(user.pk)
        ending.end_all(user.pk)
        record(Action.PASSWORD_CHANGED, actor=None, subject_id=user.pk)


def change_role(user: User, role: Role, *, by: User) -> None:
    """Give `user` another role, from the next request on.

    Tokens end: they were given under the rules of the role before. Not one's own role: who was a
    dermatologist once would open the patients' sharing again. More than a patient's goes to a
    confirmed address only, where addresses are confirmed. Raises `LastAdminError`, `OwnRoleError`,
    `UnconfirmedError`.
    """
    with transaction.atomic():
        locked = lock(user)
        before = locked.role
        if before == role:
            return
        if before == Role.ADMIN:
            require_another_admin(locked)
        if by.pk == user.pk:
            raise OwnRoleError
        if role != Role.PATIENT and not is_confirmed(locked):
            raise UnconfirmedError
        User.objects.filter(pk=user.pk).update(role=role)
        tokens.end_all(user.pk)
        record(
            Action.ROLE_CHANGED,
            actor=by,
            subject_id=user.pk,
            object_type="user",
            object_id=str(user.pk),
            details={"from": before, "to": str(role)},
        )
    user.role = role


def set_active(user: User, *, active: bool, by: User) -> None:
    """Open or close an account, from the next request on. Raises `LastAdminError`.

    Closing ends its tokens and sessions for good: neither may come back to life with the account.
    """
    with transaction.atomic():
        locked = lock(user)
        if locked.is_active == active:
            return
        if not active and locked.role == Role.ADMIN:
            require_another_admin(locked)
        User.objects.filter(pk=user.pk).update(is_active=active)
        if not active:
            tokens.end_all(user.pk)
            ending.end_all(user.pk)
        record(
            Action.ACCOUNT_ENABLED if active else Action.ACCOUNT_DISABLED,
            actor=by,
            subject_id=user.pk,
            object_type="user",
            object_id=str(user.pk),
        )
    user.is_active = active


def lock(user: User, *, to_erase: bool = False) -> User:
    """Return `user` as it is now, locked with every active administrator.

    All of them, in one order: two who remove each other at one moment would each still see the
    other. Only where the account itself is to go does who refers to it have to wait. Call it inside
    a transaction. Raises `User.DoesNotExist`.
    """
    concerned = Q(role=Role.ADMIN, is_active=True) | Q(pk=user.pk)
    locked = {person.pk: person for person in locks.keep_all(concerned)}
    if to_erase or user.pk not in locked:
        return User.objects.select_for_update().get(pk=user.pk)
    return locked[user.pk]


def require_another_admin(user: User) -> None:
    """Raise `LastAdminError` where `user`, who is locked, is the last active administrator."""
    others = User.objects.filter(role=Role.ADMIN, is_active=True).exclude(pk=user.pk)
    if not others.exists():
        raise LastAdminError
