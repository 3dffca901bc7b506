"""The history: every analysis of the person, or of a patient who shares, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.core.paginator import Paginator
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from analyses import trace, wording
from analyses.models import Analysis, Status
from analyses.models.analysis import PENDING
from analyses.presentation import entries
from analyses.reviews import withheld_from
from analyses.views.access import clinical, patient_asked_for, person

if TYPE_CHECKING:
    import uuid
    from collections.abc import Collection

    from django.http import HttpRequest, HttpResponse, QueryDict
    from django_stubs_ext import StrOrPromise

    from analyses.models.analysis import AnalysisQuerySet

PAGE_SIZE: Final = 20


@dataclass(frozen=True, slots=True)
class Filter:
    """One chip: what it shows, how many there are, and whether it is on."""

    key: str
    label: StrOrPromise
    count: int
    current: bool
    query: str


@clinical()
def history(request: HttpRequest) -> HttpResponse:
    """List, filter by outcome or state (`show`), page (`page`), choose the density (`density`)."""
    user = person(request)
    patient = patient_asked_for(request)
    everything = Analysis.objects.visible_to(user).filter(owner=patient)
    withheld = withheld_from(user)
    show = request.GET.get("show", "")
    found = _narrowed(everything, show, withheld)
    if found is None:
        show, found = "", everything
    page = Paginator(found.select_related("result", "lesion", "owner"), PAGE_SIZE).get_page(
        request.GET.get("page")
    )
    trace.listed(user, [patient.pk])
    compact = request.GET.get("density") == "compact"
    return render(
        request,
        "analyses/history.html",
        {
            "page": page,
            "patient": None if patient == user else patient,
            "entries": entries(page.object_list, withheld=withheld),
            "filters": _filters(everything, show, request.GET, withheld),
            "filtered": bool(show),
            "compact": compact,
            "density_query": _query(
                request.GET, density="" if compact else "compact", page=str(page.number)
            ),
        },
    )


def _narrowed(
    everything: AnalysisQuerySet, show: str, withheld: Collection[uuid.UUID]
) -> AnalysisQuerySet | None:
    """Narrow to one filter; a filter must not tell what the model said of a withheld case."""
    for key, _outcome, categories in wording.FILTERS:
        if show == key:
            return everything.filter(result__category__in=categories).exclude(pk__in=withheld)
    if show == "pending":
        return everything.filter(status__in=PENDING)
    if show == "human":
        return everything.filter(status=Status.HUMAN_ONLY)
    if show == "unusable":
        unusable = everything.filter(status__in=[Status.REJECTED, Status.FAILED])
        return unusable.exclude(pk__in=withheld)
    return None


def _filters(
    everything: AnalysisQuerySet, show: str, given: QueryDict, withheld: Collection[uuid.UUID]
) -> list[Filter]:
    chips: list[tuple[str, StrOrPromise]] = [("", _("All"))]
    chips += [(key, outcome.short) for key, outcome, _categories in wording.FILTERS]
    chips += [("pending", _("Being analysed")), ("human", Status.HUMAN_ONLY.label)]
    chips += [("unusable", _("No result"))]
    found = []
    for key, label in chips:
        narrowed = _narrowed(everything, key, withheld)
        count = (everything if narrowed is None else narrowed).count()
        if count or not key or key == show:
            query = _query(given, show=key, page="")
            found.append(Filter(key, label, count, current=key == show, query=query))
    return found


def _query(given: QueryDict, **changes: str) -> str:
    query = given.copy()
    for name, value in changes.items():
        if value:
            query[name] = value
        else:
            query.pop(name, None)
    return query.urlencode()
