"""A person's rights as buttons."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import pytest
from django.urls import reverse

from accounts.audit.models import Action, AuditEvent
from accounts.models import User
from analyses.models import Analysis, Lesion
from tests.cases import make_case, make_ended
from tests.factories import make_lesion, make_user

if TYPE_CHECKING:
    from pathlib import Path

    import pytest_django
    from django.test import Client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("image_store")]

PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def erasure_log(tmp_path: Path, settings: pytest_django.fixtures.SettingsWrapper) -> None:
    settings.ERASURE_LOG = tmp_path / "erasures.log"


def test_the_page_offers_every_right(client: Client) -> None:
    client.force_login(make_user("alice"))
    html = client.get(reverse("analyses:privacy")).content.decode()
    for name in ("analyses:export_record", "analyses:consent", "analyses:erase",
                 "accounts:access_log", "accounts:sharing"):  # fmt: skip
        assert reverse(name) in html
    assert reverse("analyses:privacy") in client.get(reverse("accounts:profile")).content.decode()


def test_the_export_is_a_post_streams_a_zip_and_stands_in_the_trail(client: Client) -> None:
    alice = make_user("alice")
    client.force_login(alice)
    address = reverse("analyses:export_record")
    asked = client.get(address)
    assert "text/html" in asked["Content-Type"]
    assert not AuditEvent.objects.filter(action=Action.EXPORTED).exists()
    answer = client.post(address)
    assert answer.streaming
    assert "no-store" in answer["Cache-Control"]
    body = b"".join(answer.streaming_content)
    assert "account.json" in zipfile.ZipFile(io.BytesIO(body)).namelist()
    event = AuditEvent.objects.get(action=Action.EXPORTED)
    assert (event.actor_id, event.details) == (alice.pk, {"kind": "archive"})


def test_deleting_asks_first_and_only_a_post_deletes(client: Client) -> None:
    alice = make_user("alice")
    lesion = make_lesion(alice, "Left calf")
    analysis = make_ended(alice, lesion=lesion)
    client.force_login(alice)
    for name, thing in (("delete", analysis), ("delete_lesion", lesion)):
        answer = client.get(reverse(f"analyses:{name}", args=[thing.pk]))
        assert "Left calf" in answer.content.decode()
    assert Analysis.objects.exists()
    assert client.post(reverse("analyses:delete", args=[analysis.pk])).status_code == 302
    assert not Analysis.objects.exists()
    assert client.post(reverse("analyses:delete_lesion", args=[lesion.pk])).status_code == 302
    assert not Lesion.objects.exists()


def test_a_dermatologist_cannot_delete_what_is_shared(client: Client) -> None:
    case = make_case()
    client.force_login(case.bob)
    address = reverse("analyses:delete", args=[case.analysis.pk])
    assert client.get(address).status_code == 404
    assert client.post(address).status_code == 404
    assert Analysis.objects.exists()


def test_erasing_needs_the_password_and_the_confirmation(client: Client) -> None:
    alice = make_user("alice", password=PASSWORD)
    client.force_login(alice)
    address = reverse("analyses:erase")
    wrong = ({"password": "guess", "confirm": "on"}, {"password": PASSWORD}, {"confirm": "on"})
    for attempt in wrong:
        answer = client.post(address, attempt)
        assert answer.status_code == 422
        assert "<title>Error:" in answer.content.decode()
    assert User.objects.filter(pk=alice.pk).exists()
    answer = client.post(address, {"password": PASSWORD, "confirm": "on"})
    assert answer["Location"] == reverse("home")
    assert not User.objects.filter(pk=alice.pk).exists()
    assert client.get(reverse("analyses:dashboard")).status_code == 302


def test_guessing_the_password_at_the_erasure_is_braked(client: Client) -> None:
    client.force_login(make_user("alice", password=PASSWORD))
    address = reverse("analyses:erase")
    statuses = [
        client.post(address, {"password": f"guess{n}", "confirm": "on"}).status_code
        for n in range(6)
    ]
    assert statuses == [422] * 5 + [429]
    right = {"password": PASSWORD, "confirm": "on"}
    refused = client.post(address, right)
    assert (refused.status_code, refused["Retry-After"]) == (429, "600")
    assert User.objects.count() == 1


def test_the_last_administrator_is_told_why_not(client: Client) -> None:
    client.force_login(make_user("root", role="admin", password=PASSWORD))
    answer = client.post(reverse("analyses:erase"), {"password": PASSWORD, "confirm": "on"})
    assert answer.status_code == 409
    assert "last active administrator" in answer.content.decode()
