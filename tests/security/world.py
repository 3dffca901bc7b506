"""Eight people and what is theirs, stored directly: nothing is decoded or analysed for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth.hashers import make_password
from django.utils import timezone

from accounts.care.models import CareRelationship
from accounts.models import ApiToken, Role, User
from accounts.tokens import issue
from analyses import images
from analyses.models import Analysis, HoldKind, Lesion, Status
from inference_worker.verdict import Category
from tests.factories import PASSWORD, make_lesion, make_user
from tests.states import make_result, make_state

if TYPE_CHECKING:
    import uuid

HELD_FOR = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Belongings:
    """One of each kind of thing of one person."""

    owner: User
    analysis: Analysis
    lesion: Lesion
    token: ApiToken
    share: CareRelationship
    session: UserSession

    def ids(self) -> dict[str, uuid.UUID | int]:
        """Return the ids by the names of the table's things."""
        return {
            "analysis": self.analysis.pk,
            "lesion": self.lesion.pk,
            "passkey": 0,  # nobody's; see add_passkey
            "session": self.session.pk,
            "share": self.share.pk,
            "token": self.token.pk,
            "user": self.owner.pk,
        }

    def add_passkey(self) -> Authenticator:
        """Store one for the one row that is about it: with it, other pages ask who is there."""
        passkey = Authenticator(
            user=self.owner, type=Authenticator.Type.WEBAUTHN, data={"name": "drawn"}
        )
        # Without the signal, which would end the owner's session.
        Authenticator.objects.bulk_create([passkey])
        return passkey


@dataclass(frozen=True, slots=True)
class World:
    """Alice shares with Bob; Mallory shares with Charlie, so she is foreign to all but him.

    Dora no longer shares with Bob, and Ellen only what comes after all that is stored here.
    """

    alice: Belongings
    bob: Belongings
    mallory: Belongings
    dora: Belongings
    ellen: Belongings
    root: Belongings

    def cells(self) -> dict[str, tuple[User | None, Belongings]]:
        """Return who asks for whose things, by the names of the table's columns."""
        return {
            "anonymous": (None, self.alice),
            "patient, own": (self.alice.owner, self.alice),
            "patient, foreign": (self.alice.owner, self.mallory),
            "dermatologist, own": (self.bob.owner, self.bob),
            "dermatologist, shared": (self.bob.owner, self.alice),
            "dermatologist, foreign": (self.bob.owner, self.mallory),
            "admin, own": (self.root.owner, self.root),
            "admin, foreign": (self.root.owner, self.alice),
        }

    def give_passwords(self) -> None:
        """Give each of them a password: then there is something to ask them for again."""
        password = make_password(PASSWORD)
        for things in (self.alice, self.bob, self.mallory, self.dora, self.ellen, self.root):
            things.owner.password = password
            things.owner.save(update_fields=["password"])

    def out_of_reach(self) -> dict[str, tuple[User, Belongings]]:
        """Return who asks for what was once, or will be, but is not shared: as if it were foreign.

        That concerns the clinical things alone; a sharing is its parties' own, whatever its state.
        """
        return {
            "dermatologist, no longer shared": (self.bob.owner, self.dora),
            "dermatologist, older than what is shared": (self.bob.owner, self.ellen),
        }


def make_world() -> World:
    charlie = make_user("charlie", role=Role.DERMATOLOGIST)
    bob = make_user("bob", role=Role.DERMATOLOGIST)
    dora = _with_belongings(make_user("dora"), bob)
    ellen = _with_belongings(make_user("ellen"), bob)
    now = timezone.now()
    _change(dora.share, revoked_at=now)
    _change(ellen.share, scope=CareRelationship.Scope.FROM_NOW_ON, consented_at=now)
    return World(
        alice=_with_belongings(make_user("alice"), bob),
        bob=_with_belongings(bob, charlie),
        mallory=_with_belongings(make_user("mallory"), charlie),
        dora=dora,
        ellen=ellen,
        root=_with_belongings(make_user("root", role=Role.ADMIN), charlie),
    )


def _change(share: CareRelationship, **fields: object) -> None:
    CareRelationship.objects.filter(pk=share.pk).update(**fields)


def _with_belongings(owner: User, dermatologist: User) -> Belongings:
    lesion = make_lesion(owner)
    analysis = make_state(
        owner,
        Status.COMPLETED,
        lesion=lesion,
        result=make_result(Category.SUSPICIOUS),
        width=12,
        height=9,
        hold_kind=HoldKind.HUMAN_REQUESTED,
        hold_consented_at=timezone.now(),
        held_until=timezone.now() + HELD_FOR,
        image_purged_at=None,
    )
    Analysis.objects.filter(pk=analysis.pk).update(
        image_key=images.keep(analysis.pk, np.zeros((9, 12, 3), np.uint8))
    )
    token, _secret = issue(owner)
    share = CareRelationship.objects.create(
        patient=owner, dermatologist=dermatologist, wording_version="1"
    )
    session = UserSession.objects.create(
        user=owner, session_key=f"elsewhere-{owner.name}", ip="192.0.2.1", user_agent="drawn"
    )
    return Belongings(owner, analysis, lesion, token, share, session)
