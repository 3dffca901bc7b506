"""Rows of accounts, locked in one order, so that no two acts wait for each other for ever.

Accounts come first, by id, and the end of the trail last: `audit.chain.record` locks that until the
commit. Whoever stores a row that refers to an account, or changes one that goes with it, keeps the
account before: PostgreSQL looks at what is referred to at the commit only, and would wait there for
an erasure that waits for the trail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q

from accounts.models import User

if TYPE_CHECKING:
    from uuid import UUID


def keep(*ids: UUID) -> list[User]:
    """Lock these accounts until the commit; return those that are there, as they are now.

    Nobody else locks, changes or erases them meanwhile; who merely refers to one need not wait.
    Call it inside a transaction.
    """
    return keep_all(Q(pk__in=ids))


def keep_open(user: User) -> User | None:
    """Lock the account of `user`, as `keep` does; return it as it is now, None if closed or gone.

    Much may have happened to it since `user` was read: a body may be on its way for long.
    """
    return next((kept for kept in keep(user.pk) if kept.is_active), None)


def keep_all(which: Q) -> list[User]:
    """Lock the accounts that are `which`, as `keep` does."""
    return list(User.objects.select_for_update(no_key=True).filter(which).order_by("pk"))
