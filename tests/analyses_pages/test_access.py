"""Who sees what: one's own, and nothing else."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from analyses.models import Analysis, Lesion, Status
from inference_worker.verdict import Category
from tests.analyses_pages.markup import Document
from tests.factories import make_lesion
from tests.states import make_result, make_state

OBJECT_VIEWS = ("detail", "progress", "heatmap", "preview")
LIST_VIEWS = ("dashboard", "upload", "list", "lesions")


@pytest.fixture
def bobs(bob: User) -> Analysis:
    return make_state(
        bob,
        Status.COMPLETED,
        result=make_result(Category.MELANOMA),
        lesion=make_lesion(bob, "Nose"),
    )


@pytest.mark.parametrize("view", OBJECT_VIEWS)
def test_another_persons_analysis_answers_404(browser: Client, bobs: Analysis, view: str) -> None:
    response = browser.get(reverse(f"analyses:{view}", args=[bobs.pk]))

    assert response.status_code == 404
    assert str(bobs.pk) not in response.content.decode()


def test_another_persons_lesion_answers_404_with_nothing_in_it(
    browser: Client, bobs: Analysis
) -> None:
    response = browser.get(reverse("analyses:lesion", args=[bobs.lesion_id]))

    assert response.status_code == 404
    assert "Nose" not in response.content.decode()


def test_lists_hold_nothing_of_another_person(browser: Client, bobs: Analysis) -> None:
    for name in LIST_VIEWS:
        page = browser.get(reverse(f"analyses:{name}")).content.decode()
        assert "Nose" not in page, name
        assert str(bobs.pk) not in page, name


@pytest.mark.parametrize("view", LIST_VIEWS)
def test_lists_send_the_anonymous_to_sign_in(client: Client, db: None, view: str) -> None:
    path = reverse(f"analyses:{view}")

    response = client.get(path)

    assert response.status_code == 302
    assert response["Location"] == f"{reverse('account_login')}?next={path}"


@pytest.mark.parametrize("view", OBJECT_VIEWS)
def test_analyses_send_the_anonymous_to_sign_in(client: Client, bobs: Analysis, view: str) -> None:
    response = client.get(reverse(f"analyses:{view}", args=[bobs.pk]))

    assert response.status_code == 302


def test_clinical_pages_are_not_stored_by_any_cache(browser: Client, alice: User) -> None:
    analysis = make_state(alice, Status.COMPLETED, result=make_result(Category.BENIGN))
    paths = [reverse(f"analyses:{name}") for name in LIST_VIEWS]
    paths += [reverse(f"analyses:{name}", args=[analysis.pk]) for name in ("detail", "heatmap")]

    for path in paths:
        assert "no-store" in browser.get(path)["Cache-Control"], path


@pytest.mark.parametrize("view", OBJECT_VIEWS)
def test_reading_pages_refuse_to_be_written_to(browser: Client, alice: User, view: str) -> None:
    analysis = make_state(alice, Status.COMPLETED, result=make_result(Category.BENIGN))

    assert browser.post(reverse(f"analyses:{view}", args=[analysis.pk])).status_code == 405


def test_opening_pages_changes_no_analysis_and_no_lesion(browser: Client, alice: User) -> None:
    make_state(alice, Status.QUEUED)
    before = list(Analysis.objects.values()), list(Lesion.objects.values())

    for name in LIST_VIEWS:
        browser.get(reverse(f"analyses:{name}"))
    for analysis in Analysis.objects.all():
        browser.get(reverse("analyses:detail", args=[analysis.pk]))

    assert (list(Analysis.objects.values()), list(Lesion.objects.values())) == before


def test_the_front_page_and_the_model_page_are_open_to_all(client: Client, db: None) -> None:
    for name in ("home", "analyses:model", "styleguide"):
        assert client.get(reverse(name)).status_code == 200, name


def test_a_signed_out_page_tells_the_browser_to_forget_pictures(client: Client, db: None) -> None:
    body = Document(client.get(reverse("home")).content.decode()).all("body")[0]

    assert "data-signed-out" in body.attributes


def test_the_policy_allows_nothing_inline(browser: Client) -> None:
    policy = browser.get(reverse("analyses:dashboard"))["Content-Security-Policy"]

    assert "unsafe" not in policy
    assert "script-src 'self'" in policy
