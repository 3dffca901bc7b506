"""Make accounts and change what they may do. Each leaves its trace in the trail."""

from __future__ import annotations

from allauth.account.models import EmailAddress
from django.db import transaction
from django.db.models import Q

from accounts import locks, tokens
from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.models import Role, User
from accounts.sessions import ending


class LastAdminError(Exception):
    """The change would leave no active administrator. Make another person administrator first."""


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
        record(
            Action.ACCOUNT_CREATED,
            actor=by,
            subject_id=user.pk,
            object_type="user",
            object_id=str(user.pk),
            details={"role": str(role)},
        )
    return user


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
    dermatologist once would open the patients' sharing again. Raises `LastAdminError`,
    `OwnRoleError`.
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
