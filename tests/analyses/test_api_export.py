"""The export of the API: one's own analyses as a table."""

from __future__ import annotations

import csv
import io

import pytest
from pytest_django.fixtures import Settings

from accounts.audit.models import Action, AuditEvent
from accounts.models import User
from inference_worker.verdict import Category
from tests.analyses.test_api_analyses import URL, finished, signed_in
from tests.factories import make_analysis, make_lesion, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("image_store")]


@pytest.fixture
def alice() -> User:
    return make_user("alice")


@pytest.fixture
def bob() -> User:
    return make_user("bob")


def test_the_export_is_a_table_without_formulas(alice: User) -> None:
    lesion = make_lesion(alice, name="=HYPERLINK(1)")
    analysis = finished(alice, Category.MELANOMA, lesion=lesion)
    make_analysis(alice)
    response = signed_in(alice).get(f"{URL}export.csv")
    assert response.streaming
    assert response["Content-Type"].startswith("text/csv")
    assert "attachment" in response["Content-Disposition"]
    text = b"".join(response).decode()
    first, second = csv.DictReader(io.StringIO(text))
    assert first["id"] == str(analysis.id)
    assert first["lesion"] == "'=HYPERLINK(1)"
    assert (first["category"], first["decided"]) == ("melanoma", "True")
    shares = [float(first[c]) for c in ("benign", "suspicious", "malignant", "melanoma")]
    assert shares == [0, 0, 0, 1]
    assert float(first["mel"]) == pytest.approx(0.8964)
    assert (second["status"], second["category"]) == ("QUEUED", "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_cells_that_a_spreadsheet_would_run_are_escaped(alice: User, start: str) -> None:
    finished(alice, lesion=make_lesion(alice, name=f"{start}1+1"))
    text = b"".join(signed_in(alice).get(f"{URL}export.csv")).decode()
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["lesion"] == f"'{start}1+1"


def test_exports_are_counted_for_each_person(alice: User, bob: User, settings: Settings) -> None:
    settings.EXPORTS_PER_HOUR = 2
    client = signed_in(alice)
    answers = [client.get(f"{URL}export.csv") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1]["Content-Type"] == "application/problem+json"
    assert 0 < int(answers[-1]["Retry-After"]) <= 3601
    assert AuditEvent.objects.filter(action=Action.EXPORTED, actor_id=alice.pk).count() == 2
    assert signed_in(bob).get(f"{URL}export.csv").status_code == 200
    settings.EXPORTS_PER_HOUR = 0
    assert client.get(f"{URL}export.csv").status_code == 200
