"""Whatever shows a dermatologist something of a patient leaves its trace, once and for each way."""

from __future__ import annotations

import uuid

import pytest
from django.db import OperationalError, transaction
from django.test import Client
from django.urls import reverse
from redis.exceptions import RedisError

from accounts.audit.models import Action, AuditEvent
from accounts.care.models import CareRelationship
from accounts.care.services import share
from accounts.models import Role, User
from analyses import reviews, trace
from analyses.models import Advice, Opinion, Status
from tests.cases import EVERYTHING, Case, make_case, make_ended
from tests.factories import make_lesion, make_user
from tests.security.access_table import rows
from tests.security.routes import address
from tests.security.world import make_world
from tests.states import make_state

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("image_store")]
READS = (Action.READ, Action.IMAGE_READ, Action.LISTED)
SHARED = "dermatologist, shared"


def reads(of: User, by: User) -> list[str]:
    found = AuditEvent.objects.filter(action__in=READS, actor_id=by.pk, subject_id=of.pk)
    return list(found.values_list("action", flat=True))


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_every_way_to_a_shared_thing_that_shows_it_leaves_a_read() -> None:
    world = make_world()
    user, things = world.cells()[SHARED]
    assert user is not None
    client = signed_in(user)
    shown = [
        row
        for row in rows()
        if row.thing and (200 <= row.expected[SHARED] < 300 or row.expected[SHARED] == 422)
    ]
    assert len(shown) >= 6
    silent = []
    for row in shown:
        with transaction.atomic():
            before = len(reads(things.owner, user))
            answer = client.generic(row.method, address(row.route, row.thing, things.ids()))
            assert answer.status_code == row.expected[SHARED]
            if len(reads(things.owner, user)) == before:
                silent.append(f"{row.method} /{row.route}")
            transaction.set_rollback(True)
    assert silent == []


@pytest.mark.parametrize("state", [Status.QUEUED, Status.RUNNING, Status.COMPLETED])
def test_watching_anothers_progress_is_noted_once_not_at_every_poll(state: Status) -> None:
    case = make_case()
    watched = make_ended(case.alice) if state == Status.COMPLETED else make_state(case.alice, state)
    client = signed_in(case.bob)
    for _ in range(3):
        client.get(reverse("analyses:progress", args=[watched.pk]))
    assert reads(case.alice, case.bob) == [Action.READ]
    signed_in(case.alice).get(reverse("analyses:progress", args=[watched.pk]))
    assert reads(case.alice, case.alice) == []


def test_a_heat_map_and_a_refused_answer_are_reads() -> None:
    case = make_case()
    reviews.write(
        analysis_id=case.analysis.pk, author=case.bob, opinion=Opinion.BENIGN, advice=Advice.WATCH
    )
    client = signed_in(case.bob)
    assert client.get(reverse("analyses:heatmap", args=[case.analysis.pk])).status_code == 200
    assert reads(case.alice, case.bob) == [Action.READ]
    answer = client.post(reverse("analyses:review", args=[case.analysis.pk]), {})
    assert answer.status_code == 422
    assert reads(case.alice, case.bob) == [Action.READ] * 2


def test_a_heat_map_that_is_withheld_is_no_read() -> None:
    case = make_case()
    path = reverse("api-analysis-heatmap", args=[case.analysis.pk])
    assert signed_in(case.bob).get(path).status_code == 404  # an opinion comes first
    assert reads(case.alice, case.bob) == []


@pytest.mark.parametrize("page", ["analyses:list", "analyses:lesions"])
@pytest.mark.parametrize("query", [{}, {"show": "melanoma"}, {"page": "7"}])
def test_a_list_is_noted_also_where_it_is_empty(page: str, query: dict[str, str]) -> None:
    alice, bob = make_user("alice"), make_user("bob", role=Role.DERMATOLOGIST)
    share(patient=alice, reference=bob.email, scope=EVERYTHING)
    answer = signed_in(bob).get(reverse(page), query | {"patient": str(alice.pk)})
    assert answer.status_code == 200
    assert reads(alice, bob) == [Action.LISTED]


FILTERS = [
    {"status": "FAILED"},
    {"category": "melanoma"},
    {"image_type": "clinical"},
    {"created_from": "2050-01-01T00:00:00Z"},
    {"created_before": "2000-01-01T00:00:00Z"},
]


def two_who_share() -> tuple[Case, User]:
    """Return a case, and somebody beside its patient who shares with the same dermatologist."""
    case, carol = make_case(), make_user("carol")
    make_ended(carol)
    share(patient=carol, reference=case.bob.email, scope=EVERYTHING)
    return case, carol


@pytest.mark.parametrize("query", FILTERS)
def test_a_list_of_the_api_that_finds_nothing_is_noted_of_all_it_looked_through(
    query: dict[str, str],
) -> None:
    case, carol = two_who_share()
    make_ended(stranger := make_user("dora"))
    answer = signed_in(case.bob).get(reverse("api-analyses"), query)
    assert answer.json()["results"] == []
    assert reads(case.alice, case.bob) == reads(carol, case.bob) == [Action.LISTED]
    assert reads(stranger, case.bob) == []


@pytest.mark.parametrize("query", [{}, *FILTERS])
def test_a_page_of_the_api_past_the_end_is_noted_of_all_it_looked_through(
    query: dict[str, str],
) -> None:
    """It is a plain 404, and tells how many there are at most."""
    case, carol = two_who_share()
    make_ended(stranger := make_user("dora"))
    answer = signed_in(case.bob).get(reverse("api-analyses"), query | {"page": "7"})
    assert answer.status_code == 404
    assert reads(case.alice, case.bob) == reads(carol, case.bob) == [Action.LISTED]
    assert reads(stranger, case.bob) == []


def test_a_page_past_the_end_for_one_lesion_is_noted_of_its_owner() -> None:
    case, carol = two_who_share()
    lesion = make_lesion(case.alice)
    case.alice.analyses.update(lesion=lesion)
    asked = {"lesion": str(lesion.pk), "page": "2"}
    assert signed_in(case.bob).get(reverse("api-analyses"), asked).status_code == 404
    assert reads(case.alice, case.bob) == [Action.LISTED]
    assert reads(carol, case.bob) == []


def test_a_list_of_the_api_for_one_lesion_is_noted_of_its_owner() -> None:
    case, carol = two_who_share()
    lesion = make_lesion(case.alice)
    case.alice.analyses.update(lesion=lesion)
    client = signed_in(case.bob)
    asked = {"lesion": str(lesion.pk), "status": "FAILED"}
    assert client.get(reverse("api-analyses"), asked).json()["results"] == []
    assert reads(case.alice, case.bob) == [Action.LISTED]
    client.get(reverse("api-analyses"), {"lesion": str(make_lesion(carol).pk)})
    client.get(reverse("api-analyses"), {"lesion": str(uuid.uuid4())})
    assert reads(carol, case.bob) == [], "no photo of it is shared: it is as if it was not there"


@pytest.fixture
def case() -> Case:
    return make_case()


@pytest.mark.parametrize("page", ["analyses:list", "analyses:lesions"])
def test_a_list_that_is_refused_is_a_denial(case: Case, page: str) -> None:
    denied = AuditEvent.objects.filter(action=Action.DENIED)
    client = signed_in(case.charlie)
    asked = {"patient": str(case.alice.pk)}
    assert client.get(reverse(page), asked).status_code == 404
    event = denied.get()
    assert (event.actor_id, event.subject_id) == (case.charlie.pk, case.alice.pk)
    assert (event.object_type, event.object_id) == ("record", str(case.alice.pk))
    # Who shared once and does not any more is refused as well.
    CareRelationship.objects.all().delete()
    assert signed_in(case.bob).get(reverse(page), asked).status_code == 404
    assert denied.count() == 2


def test_a_list_of_nobody_is_no_denial(case: Case) -> None:
    client = signed_in(case.charlie)
    for nobody in (str(uuid.uuid4()), "no-id"):
        answer = client.get(reverse("analyses:list"), {"patient": nobody})
        assert answer.status_code == 404
    assert not AuditEvent.objects.filter(action=Action.DENIED).exists()


def test_a_list_that_could_not_be_noted_is_noted_at_the_next_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = make_case()
    with monkeypatch.context() as patched:
        patched.setattr(trace, "record", _no_database)
        with pytest.raises(OperationalError):
            trace.listed(case.bob, [case.alice.pk])
    trace.listed(case.bob, [case.alice.pk])
    trace.listed(case.bob, [case.alice.pk])
    assert reads(case.alice, case.bob) == [Action.LISTED]


def test_a_list_is_noted_where_the_cache_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    case = make_case()
    monkeypatch.setattr(trace.cache, "add", _no_cache)
    trace.listed(case.bob, [case.alice.pk])
    assert reads(case.alice, case.bob) == [Action.LISTED]


def _no_database(*_args: object, **_facts: object) -> None:
    raise OperationalError


def _no_cache(*_args: object, **_options: object) -> None:
    raise RedisError
