"""Sending photos: with and without scripts, one or several, good or bad."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from accounts.audit.models import Action, AuditEvent
from accounts.care.services import share
from accounts.models import User
from analyses import intake, wording
from analyses.models import Analysis, HoldKind, Lesion
from inference_worker.verdict import ImageType
from tests import images
from tests.analyses_pages.conftest import Open
from tests.analyses_pages.markup import Document
from tests.factories import make_lesion, make_upload, make_user

pytestmark = pytest.mark.usefixtures("image_store", "inference_queue")
BAD = b"GIF89a" + b"\x00" * 64


def send(
    browser: Client, *files: SimpleUploadedFile, script: bool = False, **data: Any
) -> HttpResponse:
    given = {"image_type": "dermoscopic", "hold_kind": "", "image": list(files)} | data
    headers = {"accept": "application/json"} if script else {}
    return browser.post(reverse("analyses:upload"), given, headers=headers)  # type: ignore[return-value]


def test_one_photo_leads_to_its_own_page(browser: Client, alice: User) -> None:
    response = send(browser, make_upload())

    analysis = Analysis.objects.get(owner=alice)
    assert response.status_code == 302
    assert response["Location"] == reverse("analyses:detail", args=[analysis.pk])


def test_a_photo_from_the_camera_button_is_taken_too(browser: Client, alice: User) -> None:
    send(browser, camera=make_upload())

    assert Analysis.objects.filter(owner=alice).count() == 1


def test_a_bad_file_among_several_fails_alone(browser: Client, alice: User) -> None:
    good = [make_upload(images.jpeg(seed=n), name=f"{n}.jpg") for n in (1, 2)]

    response = send(
        browser, good[0], make_upload(BAD, name="bad.gif", media_type="image/gif"), good[1]
    )

    page = Document(browser.get(response["Location"]).content.decode())
    assert Analysis.objects.filter(owner=alice).count() == 2
    assert "bad.gif was not taken." in page.text
    assert "2 photos are being analysed." in page.text


def test_a_refused_photo_comes_back_with_the_remedy_on_top(browser: Client) -> None:
    response = send(browser, make_upload(BAD, name="bad.gif", media_type="image/gif"))

    page = Document(response.content.decode())
    assert response.status_code == 422
    assert page.title.startswith("Error:")
    assert "There is a problem" in page.text
    assert "Send a JPEG, PNG, WebP, TIFF or HEIC." in page.text
    assert any(a.attributes["href"] == "#id_image" for a in page.all("a"))


def test_sending_nothing_asks_for_a_photo(browser: Client) -> None:
    page = Document(send(browser).content.decode())

    assert "Choose a photo to send." in page.text


def test_a_file_name_is_text_whatever_it_holds(browser: Client) -> None:
    name = "<img src=x onerror=alert(1)>.gif"

    page = send(browser, make_upload(BAD, name=name, media_type="image/gif")).content.decode()

    assert "<img src=x" not in page


def test_a_double_click_makes_one_analysis(browser: Client, alice: User) -> None:
    for _click in range(2):
        send(browser, make_upload(), idempotency_key="k1")

    assert Analysis.objects.filter(owner=alice).count() == 1


def test_each_opened_form_has_a_key_of_its_own(see: Open) -> None:
    keys = {
        e.attributes["value"]
        for _opening in range(2)
        for e in see(reverse("analyses:upload")).all("input")
        if e.attributes.get("name") == "idempotency_key"
    }

    assert len(keys) == 2


def test_a_script_gets_the_address_of_the_analysis(browser: Client, alice: User) -> None:
    response = send(browser, make_upload(), script=True)

    analysis = Analysis.objects.get(owner=alice)
    assert response.status_code == 201
    assert response.json() == {  # type: ignore[attr-defined]
        "id": str(analysis.pk),
        "url": reverse("analyses:detail", args=[analysis.pk]),
    }


def test_a_script_is_told_what_was_wrong_by_code_and_words(browser: Client) -> None:
    response = send(browser, make_upload(b"\xff\xd8\xff" + b"x" * 50), script=True)

    told = response.json()  # type: ignore[attr-defined]
    assert response.status_code == 422
    assert told["code"] in {"truncated", "not_an_image"}
    assert told["message"]


@pytest.mark.parametrize("kind", [HoldKind.GATE_DEFERRED, HoldKind.HUMAN_REQUESTED])
def test_a_consent_is_recorded_with_the_version_of_its_words(
    browser: Client, alice: User, kind: HoldKind
) -> None:
    send(browser, make_upload(), hold_kind=kind.value)

    analysis = Analysis.objects.get(owner=alice)
    assert analysis.hold_kind == kind
    assert analysis.hold_consented_at is not None
    assert analysis.hold_wording_version == wording.HOLD_WORDING_VERSION


def test_without_a_choice_nothing_is_kept(browser: Client, alice: User) -> None:
    send(browser, make_upload())

    assert Analysis.objects.get(owner=alice).hold_kind == HoldKind.NONE


def test_a_new_lesion_is_made_with_its_first_photo(browser: Client, alice: User) -> None:
    send(browser, make_upload(), lesion="new", new_lesion="Left calf", body_site="lower_extremity")

    lesion = Lesion.objects.get(owner=alice)
    assert (lesion.name, lesion.body_site) == ("Left calf", "lower_extremity")
    assert Analysis.objects.get(owner=alice).lesion == lesion


def test_a_refused_photo_leaves_no_lesion_behind(browser: Client, alice: User) -> None:
    send(
        browser,
        make_upload(BAD, name="b.gif", media_type="image/gif"),
        lesion="new",
        new_lesion="X",
    )

    assert not Lesion.objects.filter(owner=alice).exists()


def test_a_new_lesion_needs_a_name(browser: Client, alice: User) -> None:
    response = send(browser, make_upload(), lesion="new", new_lesion=" ")

    assert response.status_code == 422
    assert not Analysis.objects.filter(owner=alice).exists()


def test_one_lesion_too_many_is_refused_before_the_photo_is_taken(
    browser: Client, alice: User, settings: Settings
) -> None:
    settings.LESIONS_PER_USER = 1
    known = make_lesion(alice, "Nose")

    response = send(browser, make_upload(), lesion="new", new_lesion="Left calf")

    assert response.status_code == 422
    assert "You follow 1 moles or marks" in Document(response.content.decode()).text
    assert not Analysis.objects.filter(owner=alice).exists()
    # By a name that is there already, it is the next photo of that one.
    send(browser, make_upload(), lesion="new", new_lesion="Nose")
    assert Analysis.objects.get(owner=alice).lesion == known


@pytest.mark.parametrize("script", [False, True])
def test_where_the_last_lesion_was_taken_meanwhile_the_photo_is_kept_without_it(
    browser: Client, alice: User, settings: Settings, monkeypatch: pytest.MonkeyPatch, script: bool
) -> None:
    settings.LESIONS_PER_USER = 1

    def submit_slowly(**fields: Any) -> Analysis:
        analysis = submit(**fields)
        make_lesion(alice, "Nose")
        return analysis

    submit = intake.submit
    monkeypatch.setattr(intake, "submit", submit_slowly)
    response = send(browser, make_upload(), script=script, lesion="new", new_lesion="Left calf")

    analysis = Analysis.objects.get(owner=alice)
    assert analysis.lesion is None
    assert response.status_code == (201 if script else 302)
    page = browser.get(reverse("analyses:detail", args=[analysis.pk])).content.decode()
    assert "Left calf was not taken. You follow 1 moles" in page


def test_another_persons_lesion_is_no_choice(browser: Client, bob: User) -> None:
    theirs = make_lesion(bob)

    response = send(browser, make_upload(), lesion=str(theirs.pk))

    assert response.status_code == 422
    assert not theirs.analyses.exists()
    event = AuditEvent.objects.get(action=Action.DENIED)
    assert (event.subject_id, event.object_id) == (bob.pk, str(theirs.pk))
    for nobodys in (str(uuid.uuid4()), "no id"):
        assert send(browser, make_upload(), lesion=nobodys).status_code == 422
    assert AuditEvent.objects.filter(action=Action.DENIED).count() == 1


def test_fields_that_are_not_asked_for_change_nothing(
    browser: Client, alice: User, bob: User
) -> None:
    send(browser, make_upload(), owner=str(bob.pk), status="COMPLETED", result="1", role="admin")

    analysis = Analysis.objects.get()
    assert analysis.owner == alice
    assert analysis.status == "QUEUED"
    alice.refresh_from_db()
    assert alice.is_patient


def test_an_ordinary_photo_is_sent_as_one(browser: Client, alice: User) -> None:
    send(browser, make_upload(), image_type="clinical")

    assert Analysis.objects.get(owner=alice).image_type == ImageType.CLINICAL


def test_a_link_brings_the_lesion_and_the_wish_along(alice: User, see: Open) -> None:
    lesion = make_lesion(alice, body_site="head_neck")

    page = see(f"{reverse('analyses:upload')}?lesion={lesion.pk}&hold=human_requested")

    chosen = {e.attributes["value"] for e in page.all("option") if "selected" in e.attributes}
    checked = {e.attributes["value"] for e in page.all("input") if "checked" in e.attributes}
    assert chosen == {str(lesion.pk), "head_neck"}
    assert "human_requested" in checked


def test_camera_and_file_are_two_native_inputs(see: Open) -> None:
    files = [
        e for e in see(reverse("analyses:upload")).all("input") if e.attributes["type"] == "file"
    ]

    assert {e.attributes["name"] for e in files} == {"image", "camera"}
    assert [e.attributes["capture"] for e in files if "capture" in e.attributes] == ["environment"]


def test_a_picture_that_browsers_cannot_draw_is_shown_while_it_exists(
    browser: Client, alice: User, bob: User
) -> None:
    doctor, admin = make_user("doctor", role="dermatologist"), make_user("root", role="admin")
    share(patient=alice, reference=doctor.email, scope="everything")
    tiff = make_upload(
        images.encode(images.lesion(), "TIFF"), name="lesion.tiff", media_type="image/tiff"
    )
    send(browser, tiff)
    analysis = Analysis.objects.get(owner=alice)
    preview = reverse("analyses:preview", args=[analysis.pk])

    page = browser.get(reverse("analyses:detail", args=[analysis.pk])).content.decode()
    response = browser.get(preview)

    assert f'data-preview="{preview}"' in page
    assert response.content.startswith(b"\xff\xd8\xff")
    assert "no-store" in response["Cache-Control"]
    for another in (bob, doctor, admin):
        client = Client()
        client.force_login(another)
        assert client.get(preview).status_code == 404


def test_a_jpeg_needs_no_preview(browser: Client, alice: User) -> None:
    send(browser, make_upload())
    analysis = Analysis.objects.get(owner=alice)

    assert browser.get(reverse("analyses:preview", args=[analysis.pk])).status_code == 404
