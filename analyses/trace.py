"""What the clinical side writes to the trail: who touched whose record. Never what stood in it."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from django.core.cache import cache
from redis.exceptions import RedisError

from accounts.audit.chain import record
from accounts.audit.models import Action

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterable, Iterator

    from accounts.models import User
    from analyses.models import Analysis, Lesion

# Paging through a list is one look at it.
LISTED_ONCE_PER: Final = 15 * 60  # s


def uploaded(analysis: Analysis) -> None:
    """Note that a photo was accepted, in the transaction that stores the row."""
    record(
        Action.UPLOADED,
        actor=analysis.owner,
        subject_id=analysis.owner_id,
        object_type="analysis",
        object_id=str(analysis.pk),
        details={"hold": analysis.hold_kind},
    )


def opened(user: User, thing: Analysis | Lesion, *, action: Action = Action.READ) -> None:
    """Note that `user` opened something of another's; one's own needs no trace."""
    if thing.owner_id == user.pk:
        return
    record(
        action,
        actor=user,
        subject_id=thing.owner_id,
        object_type=thing._meta.model_name or "",  # noqa: SLF001 - Django's public options
        object_id=str(thing.pk),
    )


def followed(user: User, analysis: Analysis) -> None:
    """Note that `user` watches another's analysis, once a while: its page asks every second."""
    if analysis.owner_id != user.pk:
        with _once_a_while(f"followed:{user.pk}:{analysis.pk}") as first:
            if first:
                opened(user, analysis)


def listed(user: User, owners: Iterable[uuid.UUID]) -> None:
    """Note that `user` saw a list of records of `owners`, once a while for each other person.

    An empty one too: that there is no such record is an answer.
    """
    for owner_id in sorted(set(owners) - {user.pk}):
        with _once_a_while(f"listed:{user.pk}:{owner_id}") as first:
            if first:
                record(Action.LISTED, actor=user, subject_id=owner_id, object_type="analysis")


def exported(user: User, owners: Iterable[uuid.UUID], *, kind: str) -> None:
    """Note that `user` took along records of `owners`, their own too, as `kind`: csv, archive."""
    for owner_id in sorted({*owners, user.pk}):
        record(
            Action.EXPORTED,
            actor=user,
            subject_id=owner_id,
            object_type="analysis",
            details={"kind": kind},
        )


@contextmanager
def _once_a_while(key: str) -> Iterator[bool]:
    """Tell whether this is the first time in `LISTED_ONCE_PER` seconds that the body gets through.

    Where the cache does not answer it is: a line too many in the trail is better than none. Where
    the trail cannot be written nothing was noted, and the next try is the first again.
    """
    first = True
    with suppress(RedisError):
        first = cache.add(key, value=True, timeout=LISTED_ONCE_PER)
    try:
        yield first
    except BaseException:
        if first:
            with suppress(RedisError):
                cache.delete(key)
        raise
