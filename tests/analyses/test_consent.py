"""Nothing is taken without a live consent to the present words, however late it is withdrawn."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from accounts import consent
from accounts.models import Consent, Role, User
from accounts.tokens import issue
from analyses import decoding, erasure, images, purging, reconcile, storage
from analyses.exceptions import ConsentMissingError
from analyses.imaging import DecodedImage
from analyses.models import Analysis, DeletionEvent
from tests.cases import make_case, make_ended
from tests.factories import make_analysis, make_consent, make_lesion, make_upload, make_user

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("image_store", "inference_queue"),
]
WAITS = 60  # s


@pytest.mark.parametrize("role", Role.values)
def test_nobody_who_was_never_asked_has_a_photo_taken(role: str, image_store: Path) -> None:
    invited = make_user(role=role, consented=False)
    with pytest.raises(ConsentMissingError):
        make_analysis(invited)
    assert not list(image_store.iterdir())
    consent.agree(invited)
    assert make_analysis(invited).pk


def test_a_consent_to_words_that_have_changed_is_none() -> None:
    owner = make_user(consented=False)
    make_consent(owner, "2025-01")
    with pytest.raises(ConsentMissingError):
        make_analysis(owner)


def test_the_consent_can_be_withdrawn_and_given_again() -> None:
    alice = make_user("alice")
    erasure.withdraw_consent(alice)
    with pytest.raises(ConsentMissingError):
        make_analysis(alice)
    assert consent.agree(alice)
    assert not consent.agree(alice)
    assert make_analysis(alice).pk
    assert Consent.objects.filter(user=alice, withdrawn_at=None).count() == 1


def test_the_api_answers_403_by_name(client: Client) -> None:
    _token, secret = issue(make_user(consented=False))
    answer = client.post(
        reverse("api-analyses"),
        {"image": make_upload()},
        headers={"Authorization": f"Bearer {secret}"},
    )
    assert answer.status_code == 403
    assert answer.json()["code"] == "consent_missing"
    assert answer["Content-Type"] == "application/problem+json"


def _during_the_decoding(monkeypatch: pytest.MonkeyPatch, owner: User, what: str) -> None:
    decode = decoding.decode

    def decode_meanwhile(data: bytes) -> DecodedImage:
        decoded = decode(data)
        if what == "withdrawal":
            erasure.withdraw_consent(owner)
        else:
            erasure.delete_lesion(lesion_id=owner.lesions.get().pk, by=owner)
        return decoded

    monkeypatch.setattr(decoding, "decode", decode_meanwhile)


def test_a_photo_that_is_decoded_while_the_consent_is_withdrawn_is_not_stored(
    monkeypatch: pytest.MonkeyPatch, image_store: Path
) -> None:
    alice = make_user("alice")
    _during_the_decoding(monkeypatch, alice, "withdrawal")
    with pytest.raises(ConsentMissingError):
        make_analysis(alice)
    assert not Analysis.objects.exists()
    assert not list(image_store.iterdir())


def test_a_lesion_that_is_deleted_meanwhile_does_not_cost_the_photo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alice = make_user("alice")
    lesion = make_lesion(alice)
    _during_the_decoding(monkeypatch, alice, "deletion")
    make_analysis(alice, lesion=lesion)
    assert Analysis.objects.get().lesion is None


def test_an_upload_waits_for_a_withdrawal_that_has_not_committed(image_store: Path) -> None:
    alice = make_user("alice")
    found: list[object] = []
    decoded = threading.Event()

    def send() -> None:
        try:
            found.append(make_analysis(alice))
        except ConsentMissingError as error:
            found.append(error)
        finally:
            connection.close()

    keep = images.keep

    def keep_and_tell(*given: object) -> bytes:
        key = keep(*given)  # type: ignore[arg-type]
        decoded.set()
        return key

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "keep", keep_and_tell)
        upload = threading.Thread(target=send)
        with transaction.atomic():
            consent.withdraw_health_data_consent(alice, by=alice)
            upload.start()
            assert decoded.wait(WAITS)
            upload.join(0.5)
            assert upload.is_alive(), "the upload did not wait"
        upload.join(WAITS)
    assert isinstance(found[0], ConsentMissingError)
    assert not Analysis.objects.exists()
    assert not list(image_store.iterdir())


def test_a_process_killed_at_the_withdrawals_commit_leaves_no_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = make_case()
    assert storage.size(case.analysis.pk)
    with monkeypatch.context() as killed:
        # As after a kill: nothing of what follows the commit happens.
        killed.setattr(purging, "remove_image", lambda *_, **__: False)
        erasure.withdraw_consent(case.alice)
    case.analysis.refresh_from_db()
    assert case.analysis.image_key is None
    assert case.analysis.held_until is None
    reconcile.purge_leftovers()
    assert storage.size(case.analysis.pk) == 0


def test_a_withdrawal_deletes_held_photos_and_proves_it() -> None:
    case = make_case()
    kept = make_ended(case.bob, held=True)
    erasure.withdraw_consent(case.alice)
    event = DeletionEvent.objects.get(analysis=case.analysis)
    assert event.reason == DeletionEvent.Reason.ERASED
    assert storage.size(case.analysis.pk) == 0
    assert storage.size(kept.pk)
