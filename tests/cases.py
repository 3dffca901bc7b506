"""Cases between a patient and a dermatologist: shared, analysed, held for a review."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accounts.care.models import CareRelationship
from accounts.care.services import share
from accounts.models import Role, User
from analyses import lifecycle
from analyses.models import Analysis, HoldKind
from inference_worker.verdict import Category
from tests.factories import make_analysis, make_user, make_verdict

EVERYTHING = CareRelationship.Scope.EVERYTHING
OPINION = {"opinion": "benign", "advice": "watch", "note": "Nothing to worry about today."}


@dataclass(frozen=True, slots=True)
class Case:
    """Alice's held analysis, shared with Bob, not with Charlie, a dermatologist too."""

    alice: User
    bob: User
    charlie: User
    analysis: Analysis


def make_ended(
    owner: User, category: Category = Category.SUSPICIOUS, *, held: bool = False, **options: Any
) -> Analysis:
    """Submit a drawn photo and record a verdict on it, as a worker would."""
    if held:
        options |= {"hold_kind": HoldKind.HUMAN_REQUESTED.value, "hold_wording_version": "1"}
    analysis = make_analysis(owner, **options)
    claim = lifecycle.claim(analysis.pk)
    assert claim is not None
    assert lifecycle.record(claim, make_verdict(category))
    analysis.refresh_from_db()
    return analysis


def make_case(category: Category = Category.SUSPICIOUS) -> Case:
    """Make the three people and the held analysis."""
    alice = make_user("alice")
    bob = make_user("bob", role=Role.DERMATOLOGIST)
    charlie = make_user("charlie", role=Role.DERMATOLOGIST)
    share(patient=alice, reference=bob.email, scope=EVERYTHING)
    return Case(alice, bob, charlie, make_ended(alice, category, held=True))
