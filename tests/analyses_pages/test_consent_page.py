"""The consent comes before the first photo, and anew when its words have changed."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from django.test import Client
from django.urls import reverse

from accounts import consent
from accounts.audit.models import Action, AuditEvent
from accounts.consent import Standing, standing
from accounts.models import Consent, User
from analyses.models import Analysis
from analyses.views import consent as views
from tests.analyses_pages.conftest import Open
from tests.factories import make_consent, make_upload, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("image_store", "inference_queue")]
EARLIER = "2025-01"


@pytest.fixture
def invited() -> User:
    return make_user("invited", consented=False)


@pytest.fixture
def window(invited: User) -> Client:
    client = Client()
    client.force_login(invited)
    return client


def give(client: Client, **data: str) -> str:
    answer = client.post(reverse("analyses:consent"), {"act": "give"} | data)
    assert answer.status_code == HTTPStatus.FOUND
    return answer["Location"]


@pytest.mark.parametrize("role", ["patient", "dermatologist", "admin"])
def test_the_upload_page_asks_for_the_consent_before_a_photo_is_chosen(role: str) -> None:
    client = Client()
    client.force_login(make_user(role=role, consented=False))
    asked = f"{reverse('analyses:upload')}?hold=human_only"
    answer = client.get(asked, follow=True)
    html = answer.content.decode()
    assert answer.redirect_chain[-1][0].startswith(reverse("analyses:consent"))
    assert str(consent.HEALTH_DATA_LABEL) in html
    assert str(consent.HEALTH_DATA_HINT) in html
    assert 'type="file"' not in html
    assert give(client, next=asked) == asked
    assert 'type="file"' in client.get(asked).content.decode()


def test_giving_it_is_recorded_once_with_its_wording(window: Client, invited: User) -> None:
    assert standing(invited) is Standing.NEVER_ASKED
    assert give(window) == give(window) == reverse("analyses:privacy")
    given = Consent.objects.get(user=invited)
    assert given.wording_version == consent.HEALTH_DATA_VERSION
    event = AuditEvent.objects.get(action=Action.CONSENT_GIVEN)
    assert (event.actor_id, event.details["version"]) == (invited.pk, given.wording_version)


def test_looking_at_the_page_gives_nothing(window: Client, invited: User) -> None:
    window.get(reverse("analyses:consent"))
    window.post(reverse("analyses:consent"), {"act": ""})
    assert standing(invited) is Standing.NEVER_ASKED


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "\\\\evil"]
)
def test_one_comes_back_to_this_site_only(window: Client, elsewhere: str) -> None:
    page = window.get(reverse("analyses:consent"), {"next": elsewhere}).content.decode()
    main = page.split("<main", 1)[1].split("</main", 1)[0]
    assert 'name="act"' in main
    assert 'name="next"' not in main
    assert give(window, next=elsewhere) == reverse("analyses:privacy")


def test_without_it_no_photo_is_taken_by_form_or_by_script(window: Client) -> None:
    address = reverse("analyses:upload")
    data = {"image_type": "dermoscopic", "hold_kind": ""}
    answer = window.post(address, data | {"image": make_upload()})
    assert answer["Location"].startswith(reverse("analyses:consent"))
    answer = window.post(
        address, data | {"image": make_upload()}, headers={"accept": "application/json"}
    )
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert answer.json()["code"] == "consent_missing"
    assert "Privacy" in answer.json()["message"]
    assert not Analysis.objects.exists()


def test_changed_words_are_agreed_to_anew_or_withdrawn(window: Client, invited: User) -> None:
    make_consent(invited, EARLIER)
    assert standing(invited) is Standing.OUTDATED
    told = "The words of the consent have changed"
    assert told in window.get(reverse("analyses:privacy")).content.decode()
    page = window.get(reverse("analyses:upload"), follow=True).content.decode()
    assert told in page
    assert 'value="withdraw"' in page
    give(window)
    assert standing(invited) is Standing.GIVEN
    window.post(reverse("analyses:consent"), {"act": "withdraw"})
    assert standing(invited) is Standing.WITHDRAWN
    assert not Consent.objects.filter(withdrawn_at=None).exists()


def test_words_that_ask_for_no_less_stay_accepted(
    invited: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_consent(invited, EARLIER)
    accepted = frozenset({EARLIER, consent.HEALTH_DATA_VERSION})
    monkeypatch.setattr(consent, "ACCEPTED_VERSIONS", accepted)
    assert consent.has_consented(invited)


def test_withdrawing_is_explained_done_by_post_and_can_be_undone(
    browser: Client, alice: User, see: Open
) -> None:
    address = reverse("analyses:consent")
    assert "Every sharing ends" in see(address).text
    assert standing(alice) is Standing.GIVEN
    answer = browser.post(address, {"act": "withdraw"})
    assert answer["Location"] == reverse("analyses:erase")
    assert standing(alice) is Standing.WITHDRAWN
    assert "Give your consent again" in see(address).text
    assert "You withdrew your consent" in see(reverse("analyses:privacy")).text
    assert give(browser) == reverse("analyses:privacy")
    assert standing(alice) is Standing.GIVEN


def test_the_privacy_page_leads_whoever_was_never_asked_to_the_consent(window: Client) -> None:
    page = window.get(reverse("analyses:privacy")).content.decode()
    assert "You have not given your consent: no photo is taken." in page
    assert f'href="{reverse("analyses:consent")}"' in page


def test_to_give_is_counted_and_to_withdraw_never_is(
    window: Client, invited: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = reverse("analyses:consent")
    monkeypatch.setitem(views.RATES, "consent", "2/h/user")
    for _ in range(2):
        window.post(page, {"act": "withdraw"})
        assert not consent.has_consented(invited)
        window.post(page, {"act": "give"})
        assert consent.has_consented(invited)
    window.post(page, {"act": "withdraw"})
    assert not consent.has_consented(invited)
    window.post(page, {"act": "give"})
    assert not consent.has_consented(invited)
    assert "You gave and withdrew it several times" in window.get(page).content.decode()
