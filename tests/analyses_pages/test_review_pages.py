"""The dermatologist's pages: the case, the held photo, the opinion before the output."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from accounts.audit.models import Action, AuditEvent
from accounts.care.models import CareRelationship
from accounts.care.services import revoke
from analyses import reviews
from analyses.models import Advice, Analysis, Opinion, Review
from analyses.presentation import entries
from inference_worker.verdict import Category
from tests.cases import OPINION, Case, make_case, make_ended
from tests.factories import make_lesion, make_user

if TYPE_CHECKING:
    from django.test import Client

    from accounts.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("image_store")]

OUTPUT = "data-model-output"


@pytest.fixture
def case() -> Case:
    return make_case(Category.MELANOMA)


def page(client: Client, user: User, name: str, analysis: Analysis | None = None) -> str:
    client.force_login(user)
    answer = client.get(reverse(f"analyses:{name}", args=[analysis.pk] if analysis else []))
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_case_shows_photo_and_statements_but_not_the_output(client: Client, case: Case) -> None:
    lesion = make_lesion(case.alice, "Left calf", body_site="lower_extremity")
    Analysis.objects.filter(pk=case.analysis.pk).update(lesion=lesion, body_site="lower_extremity")
    earlier = make_ended(case.alice, lesion=lesion)
    Analysis.objects.filter(pk=earlier.pk).update(created_at=timezone.now() - timedelta(days=40))
    html = page(client, case.bob, "review", case.analysis)
    assert reverse("analyses:photo", args=[case.analysis.pk]) in html
    assert "Left calf" in html
    assert "Leg" in html
    assert (timezone.now() - timedelta(days=40)).strftime("%Y") in html
    assert OUTPUT not in html
    assert "Show to a doctor" not in html


def test_after_the_opinion_both_stand_side_by_side_and_the_override_is_named(
    client: Client, case: Case
) -> None:
    client.force_login(case.bob)
    address = reverse("analyses:review", args=[case.analysis.pk])
    assert client.post(address, OPINION).status_code == 302
    html = client.get(address).content.decode()
    assert OUTPUT in html
    assert 'data-agreement="override"' in html
    assert "You override the model." in html


def test_an_opinion_without_an_answer_to_each_question_is_sent_back(
    client: Client, case: Case
) -> None:
    client.force_login(case.bob)
    answer = client.post(reverse("analyses:review", args=[case.analysis.pk]), {"opinion": "benign"})
    assert answer.status_code == 422
    assert "<title>Error:" in answer.content.decode()
    assert OUTPUT not in answer.content.decode()
    assert not Review.objects.exists()


def test_amending_lists_the_earlier_versions(client: Client, case: Case) -> None:
    client.force_login(case.bob)
    address = reverse("analyses:review", args=[case.analysis.pk])
    client.post(address, OPINION)
    client.post(address, OPINION | {"opinion": "melanoma", "advice": "soon", "note": "Second look"})
    html = client.get(address).content.decode()
    assert "Earlier versions" in html
    assert OPINION["note"] in html
    assert "Second look" in html


def test_revealing_takes_a_post_and_shows_the_output(client: Client, case: Case) -> None:
    client.force_login(case.bob)
    address = reverse("analyses:reveal", args=[case.analysis.pk])
    assert client.get(address).status_code == 405
    assert client.post(address).status_code == 302
    assert OUTPUT in page(client, case.bob, "review", case.analysis)


def test_while_the_opinion_is_due_every_other_way_to_the_output_is_closed(
    client: Client, case: Case
) -> None:
    client.force_login(case.bob)
    pk = case.analysis.pk
    detail = client.get(reverse("analyses:detail", args=[pk]))
    assert detail.status_code == 302
    assert detail["Location"] == reverse("analyses:review", args=[pk])
    assert client.get(reverse("analyses:heatmap", args=[pk])).status_code == 404
    assert client.get(reverse("api-analysis-heatmap", args=[pk])).status_code == 404
    said = client.get(reverse("api-analysis", args=[pk])).json()
    assert said["status"] == "COMPLETED"
    for field in ("category", "p_malignant", "p_melanoma", "votes", "members", "probabilities",
                  "confidence", "decided", "outline", "measurements", "heatmap_url"):  # fmt: skip
        assert said[field] is None, field
    listed = client.get(reverse("api-analyses")).json()["results"]
    assert [one["category"] for one in listed if one["id"] == str(pk)] == [None]


def test_lists_and_filters_do_not_tell_what_is_withheld(client: Client, case: Case) -> None:
    client.force_login(case.bob)
    record = f"{reverse('analyses:list')}?patient={case.alice.pk}"
    everything = client.get(record).content.decode()
    assert str(case.analysis.pk) in everything
    assert "Your opinion first" in everything
    assert "Show to a doctor" not in everything
    assert str(case.analysis.pk) not in client.get(f"{record}&show=doctor").content.decode()
    found = client.get(reverse("api-analyses"), {"category": "melanoma"}).json()["results"]
    assert found == []


def test_the_worklist_withholds_the_drawing_and_shows_the_deadline(
    client: Client, case: Case
) -> None:
    html = page(client, case.bob, "worklist")
    assert "Your opinion first" in html
    assert "tissue-" not in html
    assert case.analysis.held_until is not None
    assert case.analysis.held_until.isoformat() in html


def test_an_empty_worklist_names_the_next_step(client: Client, case: Case) -> None:
    html = page(client, case.charlie, "worklist")
    assert "Nothing waits for you" in html
    assert reverse("accounts:patients") in html


def test_the_photo_streams_to_owner_and_dermatologist_and_to_nobody_else(
    client: Client, case: Case
) -> None:
    address = reverse("analyses:photo", args=[case.analysis.pk])
    for reader in (case.alice, case.bob):
        client.force_login(reader)
        answer = client.get(address)
        assert answer.status_code == 200
        assert "no-store" in answer["Cache-Control"]
        assert answer["Content-Disposition"] == "inline"
        with Image.open(io.BytesIO(answer.content)) as picture:
            assert picture.size == (case.analysis.width, case.analysis.height)
            assert not picture.getexif()
    for stranger in (case.charlie, make_user("mallory"), make_user("root", role="admin")):
        client.force_login(stranger)
        assert client.get(address).status_code == 404
    assert list(
        AuditEvent.objects.filter(action=Action.IMAGE_READ).values_list("actor_id", "subject_id")
    ) == [(case.bob.pk, case.alice.pk)]


def test_the_photo_is_gone_for_everybody_once_the_hold_has_ended(
    client: Client, case: Case
) -> None:
    address = reverse("analyses:photo", args=[case.analysis.pk])
    client.force_login(case.bob)
    Analysis.objects.filter(pk=case.analysis.pk).update(
        held_until=timezone.now() - timedelta(seconds=1)
    )
    assert client.get(address).status_code == 404
    Analysis.objects.filter(pk=case.analysis.pk).update(
        held_until=timezone.now() + timedelta(days=1)
    )
    assert client.get(address).status_code == 200
    reviews.write(
        analysis_id=case.analysis.pk, author=case.bob, opinion=Opinion.BENIGN, advice=Advice.WATCH
    )
    assert client.get(address).status_code == 404


def test_ending_the_sharing_closes_case_and_photo_at_the_next_request(
    client: Client, case: Case
) -> None:
    client.force_login(case.bob)
    names = ("review", "photo", "detail")
    for name in names:
        answer = client.get(reverse(f"analyses:{name}", args=[case.analysis.pk]))
        assert answer.status_code in {200, 302}
    revoke(relationship_id=CareRelationship.objects.get().pk, by=case.alice)
    for name in names:
        answer = client.get(reverse(f"analyses:{name}", args=[case.analysis.pk]))
        assert answer.status_code == 404


def test_the_patient_reads_the_answer_above_the_models_sentence(client: Client, case: Case) -> None:
    reviews.write(
        analysis_id=case.analysis.pk,
        author=case.bob,
        opinion=Opinion.BENIGN,
        advice=Advice.WATCH,
        note="See you in spring",
    )
    html = page(client, case.alice, "detail", case.analysis)
    assert "Answer of Bob" in html
    assert "See you in spring" in html
    assert html.index("Keep watching it") < html.index("Show this to a doctor soon")


def test_lists_say_what_is_answered_but_not_to_those_whose_opinion_is_due(
    client: Client, case: Case
) -> None:
    pages = ("list", "dashboard")
    assert [page(client, case.alice, name).count("Answered") for name in pages] == [0, 0]

    reviews.write(
        analysis_id=case.analysis.pk, author=case.bob, opinion=Opinion.BENIGN, advice=Advice.WATCH
    )

    assert [page(client, case.alice, name).count("Answered") for name in pages] == [1, 1]
    one = Analysis.objects.get(pk=case.analysis.pk)
    assert entries([one])[0].answered
    assert not entries([one], withheld={one.pk})[0].answered


def test_a_note_is_text_and_never_markup(client: Client, case: Case) -> None:
    reviews.write(
        analysis_id=case.analysis.pk,
        author=case.bob,
        opinion=Opinion.BENIGN,
        advice=Advice.WATCH,
        note="<script>alert(1)</script>",
    )
    html = page(client, case.alice, "detail", case.analysis)
    assert "<script>alert(1)" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_ask_for_a_human_names_who_would_look_and_what_to_do_without_one(
    client: Client, case: Case
) -> None:
    upload = page(client, case.alice, "upload")
    assert "Bob" in upload
    assert "Bob can see your photo" in page(client, case.alice, "detail", case.analysis)
    plain = make_ended(case.alice)
    assert "hold=human_requested" in page(client, case.alice, "detail", plain)
    alone = make_user("mallory")
    result = page(client, alone, "detail", make_ended(alone))
    assert reverse("accounts:sharing") in result
    assert "family doctor" in result
    assert reverse("accounts:sharing") in page(client, alone, "upload")
    kept = page(client, alone, "detail", make_ended(alone, held=True))
    assert "share your record with nobody" in kept


def test_a_dermatologist_opens_the_record_of_a_patient_who_shares_and_of_nobody_else(
    client: Client, case: Case
) -> None:
    record = f"?patient={case.alice.pk}"
    for reader, status in ((case.bob, 200), (case.charlie, 404), (make_user("mallory"), 404)):
        client.force_login(reader)
        for name in ("list", "lesions"):
            assert client.get(reverse(f"analyses:{name}") + record).status_code == status
    client.force_login(case.bob)
    assert client.get(reverse("analyses:list") + "?patient=nonsense").status_code == 404
