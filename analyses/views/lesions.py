"""Lesions that a person follows, and each one's course over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.core.paginator import Paginator
from django.db.models import Count, F, Max, OuterRef, Q, Subquery
from django.shortcuts import get_object_or_404, render

from analyses import trace
from analyses.models import Analysis, Lesion
from analyses.presentation import entries
from analyses.reviews import withheld_from
from analyses.timeline import timeline
from analyses.views.access import clinical, patient_asked_for, person

if TYPE_CHECKING:
    import uuid

    from django.http import HttpRequest, HttpResponse


LESIONS_A_PAGE: Final = 24
PHOTOS_A_PAGE: Final = 20
POINTS: Final = 100


@clinical()
def lesions(request: HttpRequest) -> HttpResponse:
    """List the lesions, the one photographed last first, each with its latest analysis."""
    user = person(request)
    patient = patient_asked_for(request)
    visible = Analysis.objects.visible_to(user).filter(owner=patient).select_related("result")
    seen = Q(analyses__in=visible.values("pk"))
    latest = visible.filter(lesion=OuterRef("pk")).values("pk")[:1]  # the newest comes first
    found = (
        Lesion.objects.visible_to(user)
        .filter(owner=patient)
        .annotate(
            photos=Count("analyses", filter=seen),
            last=Max("analyses__created_at", filter=seen),
            latest=Subquery(latest),
        )
        .order_by(F("last").desc(nulls_last=True), "name")
    )
    page = Paginator(found, LESIONS_A_PAGE).get_page(request.GET.get("page"))
    shown = visible.filter(pk__in=[vars(lesion)["latest"] for lesion in page])
    by_lesion = {e.analysis.lesion_id: e for e in entries(shown, withheld=withheld_from(user))}
    trace.listed(user, [patient.pk])
    return render(
        request,
        "analyses/lesions.html",
        {
            "page": page,
            "rows": [(lesion, by_lesion.get(lesion.pk)) for lesion in page],
            "patient": None if patient == user else patient,
        },
    )


@clinical()
def lesion(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Show one lesion's analyses, newest first (`page`), and what the model said over time."""
    user = person(request)
    found = get_object_or_404(Lesion.objects.visible_to(user), pk=pk)
    analyses = (
        Analysis.objects.visible_to(user).filter(lesion=found).select_related("result", "lesion")
    )
    withheld = withheld_from(user)
    page = Paginator(analyses, PHOTOS_A_PAGE).get_page(request.GET.get("page"))
    # The newest points of the course; of each the numbers only, not its outline and heat map.
    judged = analyses.exclude(pk__in=withheld).filter(result__isnull=False)
    course = judged.defer("result__outline", "result__heatmap")
    trace.opened(user, found)
    return render(
        request,
        "analyses/lesion.html",
        {
            "lesion": found,
            "own": found.owner_id == user.pk,
            "page": page,
            "entries": entries(page.object_list, withheld=withheld),
            "timeline": timeline(course[:POINTS]),
            "earlier_left_out": max(0, judged.count() - POINTS),
        },
    )
