"""Lesions that a person follows, and each one's course over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Count, Max, Q
from django.shortcuts import get_object_or_404, render

from analyses import trace
from analyses.models import Analysis, Lesion
from analyses.presentation import Entry, entries
from analyses.reviews import withheld_from
from analyses.timeline import timeline
from analyses.views.access import clinical, patient_asked_for, person

if TYPE_CHECKING:
    import uuid

    from django.http import HttpRequest, HttpResponse


@clinical()
def lesions(request: HttpRequest) -> HttpResponse:
    """List the lesions, the one photographed last first, each with its latest analysis."""
    user = person(request)
    patient = patient_asked_for(request)
    visible = Analysis.objects.visible_to(user).filter(owner=patient).select_related("result")
    seen = Q(analyses__in=visible.values("pk"))
    found = (
        Lesion.objects.visible_to(user)
        .filter(owner=patient)
        .annotate(
            photos=Count("analyses", filter=seen), last=Max("analyses__created_at", filter=seen)
        )
        .order_by("-last", "name")
    )
    latest: dict[uuid.UUID | None, Entry] = {}
    for one in entries(visible.filter(lesion__isnull=False), withheld=withheld_from(user)):
        latest.setdefault(one.analysis.lesion_id, one)
    rows = [(lesion, latest.get(lesion.pk)) for lesion in found]
    trace.listed(user, [patient.pk])
    named = None if patient == user else patient
    return render(request, "analyses/lesions.html", {"rows": rows, "patient": named})


@clinical()
def lesion(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Show one lesion's analyses, newest first, and what the model said over time."""
    user = person(request)
    found = get_object_or_404(Lesion.objects.visible_to(user), pk=pk)
    analyses = (
        Analysis.objects.visible_to(user).filter(lesion=found).select_related("result", "lesion")
    )
    withheld = withheld_from(user)
    trace.opened(user, found)
    return render(
        request,
        "analyses/lesion.html",
        {
            "lesion": found,
            "own": found.owner_id == user.pk,
            "entries": entries(analyses, withheld=withheld),
            "timeline": timeline(analyses.exclude(pk__in=withheld)),
        },
    )
