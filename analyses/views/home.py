"""The front page, and the overview behind the sign-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.shortcuts import render
from django.views.decorators.http import require_safe

from analyses.models import Analysis, Lesion
from analyses.presentation import entries
from analyses.views.access import clinical, person

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

RECENT = 6


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Say what this is, what it is not, and what happens to a photo."""
    return render(request, "analyses/home.html")


@clinical()
def dashboard(request: HttpRequest) -> HttpResponse:
    """Show what is under way, what came out lately, and the next thing to do."""
    user = person(request)
    own = Analysis.objects.filter(owner=user).select_related("result", "lesion")
    return render(
        request,
        "analyses/dashboard.html",
        {
            "pending": entries(own.pending()[:RECENT]),
            "recent": entries(own.exclude(completed_at=None).order_by("-completed_at")[:RECENT]),
            "lesion_count": Lesion.objects.filter(owner=user).count(),
        },
    )
