"""One analysis in every state that a page can show, for page tests and screenshots."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import User
from analyses.models import Analysis, BodySite, FailureCode, HoldKind, Lesion, Result, Status
from analyses.styleguide import sample_result
from inference_worker.verdict import Category, ImageType, Rejection, Stage

NAMES = ("Left shoulder, the dark one", "Calf", "Above the right ear")


def make_result(category: Category, seed: int = 1, **changes: Any) -> Result:
    """Store a made-up result; `changes` replace its fields."""
    result = sample_result(category, seed)
    for name, value in changes.items():
        setattr(result, name, value)
    result.save()
    return result


def make_state(owner: User, status: Status, *, age_days: float = 0, **fields: Any) -> Analysis:
    """Store an analysis in `status` that began `age_days` ago."""
    began = timezone.now() - timedelta(days=age_days)
    pending = status in {Status.QUEUED, Status.RUNNING}
    values: dict[str, Any] = {
        "owner": owner,
        "sha256": "0" * 64,
        "width": 600,
        "height": 450,
        "status": status,
        "image_key": b"key" if pending else None,
        "completed_at": None if pending else began + timedelta(seconds=9),
        "image_purged_at": None if pending else began + timedelta(seconds=10),
    } | fields
    analysis = Analysis.objects.create(**values)
    Analysis.objects.filter(pk=analysis.pk).update(created_at=began)
    analysis.refresh_from_db()
    return analysis


def seed(owner: User) -> dict[str, Analysis]:
    """Store every state under `owner`; returns them by a name for the file of the picture."""
    shoulder = Lesion.objects.create(owner=owner, name=NAMES[0], body_site=BodySite.POSTERIOR_TORSO)
    calf = Lesion.objects.create(owner=owner, name=NAMES[1], body_site=BodySite.LOWER_EXTREMITY)
    Lesion.objects.create(owner=owner, name=NAMES[2], body_site=BodySite.HEAD_NECK)
    states: dict[str, Analysis] = {}
    for n, (category, age) in enumerate(
        ((Category.BENIGN, 92.0), (Category.SUSPICIOUS, 41.0), (Category.MELANOMA, 3.0)), start=3
    ):
        states[f"result-{category}"] = make_state(
            owner,
            Status.COMPLETED,
            age_days=age,
            result=make_result(category, n),
            lesion=shoulder,
            body_site=shoulder.body_site,
            quality={"short_side": 450, "notes": ["hair", "corners"] if n > 3 else []},
        )
    states["result-malignant"] = make_state(
        owner,
        Status.COMPLETED,
        age_days=12,
        result=make_result(Category.MALIGNANT, 8),
        lesion=calf,
        body_site=calf.body_site,
    )
    states["result-bare"] = make_state(
        owner,
        Status.COMPLETED,
        age_days=20,
        result=make_result(
            Category.BENIGN, 9, outline=None, heatmap=None, measurements=None, p_melanoma=None,
            probabilities={}, members=[{"p_malignant": 0.004}],
        ),
    )  # fmt: skip
    states["result-clinical"] = make_state(
        owner,
        Status.COMPLETED,
        age_days=6,
        result=make_result(Category.SUSPICIOUS, 11, confidence=0.995, p_malignant=0.005),
        image_type=ImageType.CLINICAL.value,
        body_site=BodySite.ANTERIOR_TORSO,
    )
    states["result-held"] = make_state(
        owner,
        Status.COMPLETED,
        age_days=1,
        result=make_result(Category.SUSPICIOUS, 12),
        lesion=calf,
        hold_kind=HoldKind.GATE_DEFERRED,
        hold_consented_at=timezone.now(),
        hold_wording_version="2026-11",
        held_until=timezone.now() + timedelta(days=6),
        image_key=b"key",
        image_purged_at=None,
    )
    for name, held in (("waiting", True), ("over", False)):
        states[f"human-only-{name}"] = make_state(
            owner,
            Status.HUMAN_ONLY,
            age_days=2 if held else 9,
            hold_kind=HoldKind.HUMAN_ONLY,
            hold_consented_at=timezone.now(),
            hold_wording_version="2026-11b",
            held_until=timezone.now() + timedelta(days=5) if held else None,
            **({"image_key": b"key", "image_purged_at": None} if held else {}),
        )
    for n, code in enumerate(Rejection):
        states[f"rejected-{code}"] = make_state(
            owner, Status.REJECTED, age_days=30 + n, error_code=code.value
        )
    for n, failure in enumerate(FailureCode):
        states[f"failed-{failure}"] = make_state(
            owner, Status.FAILED, age_days=60 + n, error_code=failure.value
        )
    for n, stage in enumerate(Stage):
        states[f"running-{stage}"] = make_state(
            owner, Status.RUNNING, age_days=n / 86400, stage=stage.value, attempts=1
        )
    states["queued"] = make_state(owner, Status.QUEUED, age_days=14 / 86400)
    states["queued-second"] = make_state(owner, Status.QUEUED)
    return states
