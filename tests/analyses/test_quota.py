"""One person's share: so many photos a day, so many waiting."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from analyses import erasure, lifecycle
from analyses.exceptions import QuotaExceededError, TooManyHeldError, TooManyPendingError
from analyses.models import Analysis, HoldKind
from tests.factories import make_analysis, make_upload, make_user, make_verdict

pytestmark = pytest.mark.django_db


def finish(analysis: Analysis) -> None:
    claim = lifecycle.claim(analysis.pk)
    assert claim is not None
    lifecycle.record(claim, make_verdict())


def test_one_photo_more_than_may_wait_is_refused_until_one_is_finished(settings: Settings) -> None:
    settings.MAX_PENDING_PER_USER = 2
    owner = make_user()
    first = make_analysis(owner)
    make_analysis(owner)
    with pytest.raises(TooManyPendingError, match="2 of your photos"):
        make_analysis(owner)
    make_analysis(make_user())
    finish(first)
    assert make_analysis(owner).pk


def test_the_days_photos_are_counted_even_when_deleted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.UPLOADS_PER_DAY = 2
    owner = make_user()
    make_analysis(owner).delete()
    make_analysis(owner).delete()
    with pytest.raises(QuotaExceededError) as refusal:
        make_analysis(owner)
    assert refusal.value.retry_after is not None
    assert 86_000 < refusal.value.retry_after <= 86_400
    make_analysis(make_user())
    tomorrow = timezone.now() + timedelta(days=1)
    monkeypatch.setattr(timezone, "now", lambda: tomorrow)
    assert make_analysis(owner).pk


def test_the_same_photo_sent_again_by_its_key_is_no_second_one(settings: Settings) -> None:
    settings.MAX_PENDING_PER_USER = 1
    owner = make_user()
    first = make_analysis(owner, idempotency_key="k")
    assert make_analysis(owner, idempotency_key="k") == first


@pytest.mark.parametrize("kind", [HoldKind.HUMAN_ONLY, HoldKind.HUMAN_REQUESTED])
def test_photos_kept_for_a_human_are_bounded_and_others_are_not(
    settings: Settings, kind: HoldKind
) -> None:
    settings.MAX_HELD_PER_USER = 2
    owner = make_user()
    kept = [make_analysis(owner, hold_kind=kind) for _ in range(2)]
    with pytest.raises(TooManyHeldError) as refusal:
        make_analysis(owner, hold_kind=kind)
    assert "2" in str(refusal.value)
    assert refusal.value.retry_after
    assert make_analysis(owner).pk
    assert make_analysis(make_user(), hold_kind=kind).pk
    erasure.delete_analysis(analysis_id=kept[0].pk, by=owner)
    assert make_analysis(owner, hold_kind=kind).pk


def test_zero_is_no_limit(settings: Settings) -> None:
    settings.MAX_PENDING_PER_USER = settings.UPLOADS_PER_DAY = settings.MAX_HELD_PER_USER = 0
    owner = make_user()
    assert len({make_analysis(owner).pk for _ in range(3)}) == 3


@pytest.mark.parametrize(
    ("limit", "code"),
    [("MAX_PENDING_PER_USER", "too_many_pending"), ("UPLOADS_PER_DAY", "quota_exceeded")],
)
def test_the_api_says_when_to_try_again(settings: Settings, limit: str, code: str) -> None:
    setattr(settings, limit, 1)
    owner = make_user()
    make_analysis(owner)
    client = APIClient()
    client.force_authenticate(owner)
    answer = client.post("/api/v1/analyses/", {"image": make_upload()}, format="multipart")
    assert answer.status_code == 429
    assert answer.json()["code"] == code
    assert int(answer["Retry-After"]) > 0
    assert Analysis.objects.count() == 1
