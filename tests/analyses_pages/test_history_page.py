"""The history, the overview, and lesions over time."""

from __future__ import annotations

import pytest
from django.urls import reverse

from accounts.models import User
from analyses.models import Status
from analyses.timeline import timeline
from analyses.views import lesions as views
from inference_worker.verdict import Category
from tests.analyses_pages.conftest import Open
from tests.analyses_pages.markup import Document
from tests.factories import make_lesion
from tests.states import make_result, make_state, seed

HISTORY = "/analyses/"


def rows(page: Document) -> int:
    return len([e for e in page.all("tr") if e.attributes.get("role") == "row"]) - 1


def test_an_empty_history_draws_the_first_step(see: Open) -> None:
    page = see(HISTORY)

    assert "Nothing here yet" in page.text
    assert any(a.text == "Send the first photo" for a in page.all("a"))


@pytest.mark.parametrize(
    ("show", "count"), [("doctor", 2), ("unsure", 3), ("no-signs", 2), ("pending", 7)]
)
def test_a_filter_shows_only_its_kind(alice: User, see: Open, show: str, count: int) -> None:
    seed(alice)

    assert rows(see(f"{HISTORY}?show={show}")) == count


def test_an_unknown_filter_shows_all(alice: User, see: Open) -> None:
    make_state(alice, Status.QUEUED)

    assert rows(see(f"{HISTORY}?show=nonsense")) == 1


def test_long_histories_are_paged_newest_first(alice: User, see: Open) -> None:
    for n in range(23):
        make_state(alice, Status.REJECTED, error_code="blurred", age_days=n)

    first, second = see(HISTORY), see(f"{HISTORY}?page=2")

    assert (rows(first), rows(second)) == (20, 3)
    assert "Page 1 of 2" in first.text
    assert second.title == "History · page 2 · DermAI"
    dates = [e.attributes["datetime"] for e in first.all("time")]
    assert dates == sorted(dates, reverse=True)


def test_a_page_beyond_the_last_shows_the_last(alice: User, see: Open) -> None:
    make_state(alice, Status.QUEUED)

    assert rows(see(f"{HISTORY}?page=99")) == 1


def test_the_density_changes_no_content(alice: User, see: Open) -> None:
    make_state(alice, Status.QUEUED)

    page = see(f"{HISTORY}?density=compact")

    assert rows(page) == 1
    assert any("rows--compact" in e.attributes.get("class", "") for e in page.all("table"))


def test_numbers_of_a_hundred_never_claim_none_or_all(alice: User, see: Open) -> None:
    make_state(alice, Status.COMPLETED, result=make_result(Category.BENIGN, p_malignant=0.0001))
    make_state(alice, Status.COMPLETED, result=make_result(Category.MELANOMA, p_malignant=0.9999))

    text = see(HISTORY).text

    assert "<1 of 100" in text
    assert ">99 of 100" in text


def test_a_photo_without_a_lesion_goes_by_its_place_on_the_body(alice: User, see: Open) -> None:
    make_state(alice, Status.QUEUED, body_site="palms_soles")

    assert "Palm, sole or nail" in see(HISTORY).text


def test_the_overview_of_a_newcomer_names_the_first_step(see: Open) -> None:
    assert "Begin with one photo" in see(reverse("analyses:dashboard")).text


def test_the_overview_shows_what_is_under_way_and_the_latest(alice: User, see: Open) -> None:
    seed(alice)

    page = see(reverse("analyses:dashboard"))

    assert "Under way" in page.text
    assert "Latest" in page.text
    assert page.title.startswith("Overview · ")


def test_a_lesion_shows_its_course_with_a_table_behind_the_drawing(alice: User, see: Open) -> None:
    states = seed(alice)
    lesion = states["result-melanoma"].lesion
    assert lesion is not None

    page = see(reverse("analyses:lesion", args=[lesion.pk]))

    assert "What the models said over time" in page.text
    assert len(list(page.all("tr"))) == 4
    assert page.title.startswith(f"{lesion.name} · ")


def test_one_result_makes_no_course(alice: User) -> None:
    analysis = make_state(alice, Status.COMPLETED, result=make_result(Category.BENIGN))

    assert timeline([analysis]) is None


def test_a_course_runs_from_old_to_new_and_up_with_the_number(alice: User) -> None:
    later = make_state(alice, Status.COMPLETED, result=make_result(Category.MELANOMA), age_days=1)
    earlier = make_state(alice, Status.COMPLETED, result=make_result(Category.BENIGN), age_days=30)

    drawn = timeline([later, earlier])

    assert drawn is not None
    first, last = drawn.points
    assert first.x < last.x
    assert first.y > last.y  # SVG counts downwards


def test_lesions_are_listed_with_their_photos_counted(alice: User, see: Open) -> None:
    make_lesion(alice, "Nose")
    seed(alice)

    page = see(reverse("analyses:lesions"))

    assert "3 photos" in page.text
    assert "0 photos" in page.text


def test_no_lesions_yet_tells_why_to_follow_one(see: Open) -> None:
    assert "Follow a lesion over time" in see(reverse("analyses:lesions")).text


def test_many_lesions_and_many_photos_are_paged(alice: User, see: Open) -> None:
    for n in range(views.LESIONS_A_PAGE):
        make_lesion(alice, f"Mole {n:02}")
    nose = make_lesion(alice, "Nose")
    for n in range(views.PHOTOS_A_PAGE + 2):
        make_state(alice, Status.REJECTED, lesion=nose, error_code="blurred", age_days=n)

    first, second = see("/lesions/"), see("/lesions/?page=2")
    names = [e.text for e in first.all("a") if "glyph-card__name" in e.attributes.get("class", "")]
    assert names == ["Nose", *(f"Mole {n:02}" for n in range(views.LESIONS_A_PAGE - 1))]
    assert f"Mole {views.LESIONS_A_PAGE - 1:02}" in second.text
    assert "Page 2 of 2" in second.text

    one = reverse("analyses:lesion", args=[nose.pk])
    photos = [
        len([e for e in see(page).all("li") if "course__stop" in e.attributes.get("class", "")])
        for page in (one, f"{one}?page=2")
    ]
    assert photos == [views.PHOTOS_A_PAGE, 2]


def test_a_lesion_is_listed_with_its_latest_photo(alice: User, see: Open) -> None:
    nose = make_lesion(alice, "Nose")
    for days, category in [(9, Category.MELANOMA), (1, Category.BENIGN), (5, Category.MELANOMA)]:
        result = make_result(category)
        make_state(alice, Status.COMPLETED, lesion=nose, result=result, age_days=days)

    text = see("/lesions/").text
    assert "No signs found" in text
    assert "See a doctor now" not in text


def test_a_long_course_is_drawn_from_its_newest_points(
    alice: User, see: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "POINTS", 2)
    nose = make_lesion(alice, "Nose")
    for days in (9, 5, 1):
        result = make_result(Category.BENIGN)
        make_state(alice, Status.COMPLETED, lesion=nose, result=result, age_days=days)

    page = see(reverse("analyses:lesion", args=[nose.pk]))
    assert len(list(page.all("circle"))) == 2
    assert "1 earlier photo is not drawn." in page.text
