"""The result, in the words that may be said."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from analyses.models import Analysis, FailureCode, HoldKind, Status
from inference_worker.verdict import Category, ImageType, Rejection
from tests.analyses_pages.conftest import Open
from tests.factories import make_lesion
from tests.states import make_result, make_state

SENTENCES = {
    Category.BENIGN: "No signs of melanoma found in this photo",
    Category.SUSPICIOUS: "The computer cannot tell. A dermatologist needs to look",
    Category.MALIGNANT: "Show this to a doctor soon",
    Category.MELANOMA: "Show this to a doctor soon",
}


def completed(owner: User, category: Category, **changes: object) -> Analysis:
    return make_state(owner, Status.COMPLETED, result=make_result(category, **changes))


def address(analysis: Analysis) -> str:
    return reverse("analyses:detail", args=[analysis.pk])


@pytest.mark.parametrize("category", Category)
def test_the_heading_is_the_sentence_of_the_category(
    alice: User, see: Open, category: Category
) -> None:
    page = see(address(completed(alice, category)))

    assert page.all("h1")[0].text == SENTENCES[category]


@pytest.mark.parametrize("category", Category)
def test_every_outcome_tells_when_to_see_a_doctor_all_the_same(
    alice: User, see: Open, category: Category
) -> None:
    text = see(address(completed(alice, category))).text

    for word in ("new or changing", "bleeds", "crusts", "itches", "ugly duckling", "Asymmetry"):
        assert word in text
    assert "Ask for a human" in text


def test_a_benign_result_says_that_it_does_not_rule_out_cancer(alice: User, see: Open) -> None:
    assert (
        "This does not rule out skin cancer."
        in see(address(completed(alice, Category.BENIGN))).text
    )


def test_the_title_tells_no_passer_by_what_came_out(alice: User, see: Open) -> None:
    assert see(address(completed(alice, Category.MELANOMA))).title == "Result · finished · DermAI"


def test_the_block_of_the_sentence_names_photo_model_and_time(alice: User, see: Open) -> None:
    text = see(address(completed(alice, Category.BENIGN))).text

    assert "not a medical device" in text
    assert "Dermoscopic photo, model starter 1.0.0" in text
    assert "brown and black skin" in text


@pytest.mark.parametrize(
    ("share", "words", "on", "part"),
    [
        (0.062, "About 6 in 100", 6, 0),
        (0.002, "Fewer than 1 in 100", 0, 1),
        (0.998, "More than 99 in 100", 99, 0),
        (0.5, "About 50 in 100", 50, 0),
    ],
)
def test_probabilities_are_told_as_natural_frequencies(
    alice: User, see: Open, share: float, words: str, on: int, part: int
) -> None:
    page = see(address(completed(alice, Category.SUSPICIOUS, p_malignant=share)))

    dots = [e.attributes["class"] for e in page.all("circle") if "dot" in e.attributes["class"]]
    assert words in page.text
    assert dots.count("dot dot--on") == on
    assert dots.count("dot--part") == part


def test_the_opinions_fill_one_bar_whole(alice: User, see: Open) -> None:
    page = see(address(completed(alice, Category.MELANOMA)))

    parts = [e for e in page.all("rect") if e.attributes["class"] == "fill-rust-dark"]
    assert "39 of 45 opinions say the same as this result." in page.text
    assert any(part.attributes["width"] == str(round(39 / 45 * 1000)) for part in parts)


def test_models_that_disagree_are_counted(alice: User, see: Open) -> None:
    members = [{"p_malignant": p} for p in (0.9, 0.8, 0.7, 0.4, 0.6)]

    text = see(
        address(completed(alice, Category.SUSPICIOUS, p_malignant=0.68, members=members))
    ).text

    assert "4 of 5 models lean this way" in text
    assert "from about 40 in 100 to about 90 in 100" in text


def test_a_deferred_result_names_what_the_gate_asked_for(alice: User, see: Open) -> None:
    text = see(
        address(completed(alice, Category.SUSPICIOUS, confidence=0.91, p_malignant=0.09))
    ).text

    assert (
        "91 in 100 sure. It only speaks from 99 in 100, so it leaves this photo to a human." in text
    )
    assert "fixed threshold" in text


def test_an_ordinary_photo_is_left_to_a_human_whatever_the_number(alice: User, see: Open) -> None:
    analysis = make_state(
        alice,
        Status.COMPLETED,
        image_type=ImageType.CLINICAL.value,
        result=make_result(Category.SUSPICIOUS, confidence=0.998, p_malignant=0.002),
    )

    text = see(address(analysis)).text

    assert "An ordinary photo always goes to a human, however sure the model is." in text
    assert "not one taken through a dermatoscope" in text


def test_outline_and_heat_map_wait_for_the_persons_own_copy(alice: User, see: Open) -> None:
    analysis = completed(alice, Category.BENIGN)

    page = see(address(analysis))

    heat = next(e for e in page.all("image"))
    assert heat.attributes["href"] == reverse("analyses:heatmap", args=[analysis.pk])
    assert heat.attributes["opacity"] == "0"
    assert "where the model responded, not proof" in page.text
    assert not [e for e in page.all("img") if e.attributes.get("src")]
    assert any(e.attributes.get("data-sha256") == analysis.sha256 for e in page.all("figure"))


def test_a_model_without_outline_heat_map_and_classes_leaves_them_out(
    alice: User, see: Open
) -> None:
    page = see(
        address(
            completed(
                alice, Category.BENIGN, outline=None, heatmap=None, measurements=None,
                p_melanoma=None, probabilities={}, members=[{"p_malignant": 0.004}],
            )
        )
    )  # fmt: skip

    assert not page.all("image")
    assert "Seven kinds of lesion" not in page.text
    assert "Measurements of the shape" not in page.text
    assert "A melanoma:" not in page.text


def test_the_page_says_when_the_photo_was_deleted(alice: User, see: Open) -> None:
    assert "Our copy was deleted on" in see(address(completed(alice, Category.BENIGN))).text


def test_a_held_photo_says_until_when_and_why(alice: User, see: Open) -> None:
    analysis = make_state(
        alice,
        Status.COMPLETED,
        result=make_result(Category.SUSPICIOUS),
        hold_kind=HoldKind.GATE_DEFERRED,
        hold_consented_at=timezone.now(),
        held_until=timezone.now() + timedelta(days=6),
        image_key=b"key",
        image_purged_at=None,
    )

    text = see(address(analysis)).text

    assert "because you agreed to let a dermatologist see it" in text
    assert "Our copy was deleted" not in text


@pytest.mark.parametrize("code", Rejection)
def test_a_rejection_blames_the_photo_and_tells_the_remedy(
    alice: User, see: Open, code: Rejection
) -> None:
    page = see(address(make_state(alice, Status.REJECTED, error_code=code.value)))

    assert "photo" in page.all("h1")[0].text.lower()
    assert "What helps" in page.text
    assert "neither good nor bad" in page.text
    assert "Do not let this delay you" in page.text
    assert page.title == "Analysis · photo not usable · DermAI"


@pytest.mark.parametrize("code", FailureCode)
def test_a_failure_blames_nobody_but_us(alice: User, see: Open, code: FailureCode) -> None:
    page = see(address(make_state(alice, Status.FAILED, error_code=code.value)))

    assert page.title == "Analysis · failed · DermAI"
    assert "What helps" in page.text
    assert code.value not in page.text


def test_unknown_codes_still_get_words(alice: User, see: Open) -> None:
    for status in (Status.REJECTED, Status.FAILED):
        page = see(address(make_state(alice, status, error_code="something_new")))
        assert "something_new" not in page.text
        assert "What helps" in page.text


def test_a_lesions_name_is_text_whatever_it_holds(alice: User, browser: Client) -> None:
    analysis = completed(alice, Category.BENIGN)
    analysis.lesion = make_lesion(alice, "<img src=x onerror=alert(1)>")
    analysis.save()

    page = browser.get(address(analysis)).content.decode()

    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_the_heat_map_is_a_transparent_picture_in_the_photos_proportion(
    alice: User, browser: Client
) -> None:
    analysis = completed(alice, Category.BENIGN)

    response = browser.get(reverse("analyses:heatmap", args=[analysis.pk]))

    assert response["Content-Type"] == "image/png"
    assert response.content.startswith(b"\x89PNG")


def test_a_drawing_without_bands_says_that_nothing_raised_the_estimate(
    alice: User, browser: Client
) -> None:
    grids = {"faint": [[0.02, 0.05], [0.0, 0.01]], "strong": [[0.2, 1.0], [0.0, 0.1]]}
    pages = {
        name: browser.get(
            address(completed(alice, Category.BENIGN, heatmap={"grid": grid, "box": [0, 0, 1, 1]}))
        ).content.decode()
        for name, grid in grids.items()
    }
    shaded, nothing = "shaded by where the model responded most", "raised the model’s estimate"
    assert nothing in pages["faint"]
    assert shaded not in pages["faint"]
    assert shaded in pages["strong"]
    assert nothing not in pages["strong"]


def test_without_an_activation_there_is_no_heat_map(alice: User, browser: Client) -> None:
    analysis = completed(alice, Category.BENIGN, heatmap=None)

    assert browser.get(reverse("analyses:heatmap", args=[analysis.pk])).status_code == 404
