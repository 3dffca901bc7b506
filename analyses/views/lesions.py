"""Lesions that a person follows, and each one's course over time."""

from __future__ import annotations

import uuid

from django.db.models import Count, Max, Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from analyses.models import Analysis, Lesion
from analyses.presentation import entries, entry
from analyses.timeline import timeline
from analyses.views.access import clinical, person


@clinical()
def lesions(request: HttpRequest) -> HttpResponse:
    """List the lesions, the one photographed last first, each with its latest analysis."""
    user = person(request)
    visible = Analysis.objects.visible_to(user).select_related("result")
    found = (
        Lesion.objects.visible_to(user)
        .annotate(photos=Count("analyses"), last=Max("analyses__created_at"))
        .order_by("-last", "name")
        .prefetch_related(Prefetch("analyses", visible, to_attr="seen"))
    )
    rows = [(lesion, entry(lesion.seen[0]) if lesion.seen else None) for lesion in found]
    return render(request, "analyses/lesions.html", {"rows": rows})


@clinical()
def lesion(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Show one lesion's analyses, newest first, and what the model said over time."""
    user = person(request)
    found = get_object_or_404(Lesion.objects.visible_to(user), pk=pk)
    analyses = (
        Analysis.objects.visible_to(user).filter(lesion=found).select_related("result", "lesion")
    )
    return render(
        request,
        "analyses/lesion.html",
        {"lesion": found, "entries": entries(analyses), "timeline": timeline(analyses)},
    )
