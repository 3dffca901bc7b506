"""One analysis at one address: first its progress, then its result or the reason for none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from analyses import heatmap as heatmaps
from analyses import trace, wording
from analyses.answers import answers_to, human_help
from analyses.models import Analysis, Status
from analyses.presentation import entry, result_page
from analyses.preview import needs_preview, preview_jpeg
from analyses.progress import progress_of
from analyses.reviews import opinion_comes_first
from analyses.views.access import clinical, person

if TYPE_CHECKING:
    import uuid

POLLING_ENDS = 286  # htmx stops polling at this status


def _visible(request: HttpRequest, pk: uuid.UUID) -> Analysis:
    found = Analysis.objects.visible_to(person(request)).select_related("result", "lesion", "owner")
    return get_object_or_404(found, pk=pk)


@clinical()
def detail(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Show the analysis in the state that it is in."""
    analysis = _visible(request, pk)
    if opinion_comes_first(person(request), analysis):
        return redirect("analyses:review", analysis.pk)
    trace.opened(person(request), analysis)
    own = analysis.owner_id == person(request).pk
    previewed = own and needs_preview(analysis) and analysis.image_key is not None
    context = {
        "analysis": analysis,
        "entry": entry(analysis),
        "own": own,
        "preview_url": reverse("analyses:preview", args=[analysis.pk]) if previewed else "",
        "warnings": wording.WARNINGS,
        "always": wording.ALWAYS_SEE_A_DOCTOR,
        "abcde": wording.ABCDE,
        "answers": answers_to(analysis),
        "above_the_model": wording.ABOVE_THE_MODEL,
        "human": human_help(analysis.owner, analysis),
    }
    if analysis.status == Status.COMPLETED:
        return render(request, "analyses/result.html", context | {"result": result_page(analysis)})
    if analysis.status in {Status.REJECTED, Status.FAILED}:
        return render(request, "analyses/refused.html", context)
    if analysis.status == Status.HUMAN_ONLY:
        return render(request, "analyses/human_only.html", context)
    return render(request, "analyses/progress.html", context | {"progress": progress_of(analysis)})


@clinical()
def progress(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Answer the poll of the progress page.

    204 while nothing has changed since `seen`; at the end the page is told to load itself anew and
    to stop asking.
    """
    analysis = _visible(request, pk)
    trace.followed(person(request), analysis)
    if analysis.is_terminal:
        response = HttpResponse(status=POLLING_ENDS)
        response["HX-Redirect"] = reverse("analyses:detail", args=[analysis.pk])
        return response
    now = progress_of(analysis)
    if request.GET.get("seen") == now.token:
        return HttpResponse(status=204)
    context = {"analysis": analysis, "progress": now, "polled": True}
    return render(request, "analyses/progress_fragment.html", context)


@clinical()
def heatmap(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Draw the stored activation as a transparent picture in the photo's proportion."""
    analysis = _visible(request, pk)
    if analysis.result is None or analysis.result.heatmap is None:
        raise Http404
    if opinion_comes_first(person(request), analysis):
        raise Http404
    trace.opened(person(request), analysis)
    png = heatmaps.render(analysis.result.heatmap, width=analysis.width, height=analysis.height)
    return HttpResponse(png, content_type="image/png")


@clinical()
def preview(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Show the uploader a picture that their browser cannot draw, while it exists."""
    analysis = get_object_or_404(Analysis, pk=pk, owner=person(request))
    jpeg = preview_jpeg(analysis)
    if jpeg is None:
        raise Http404
    return HttpResponse(jpeg, content_type="image/jpeg")
