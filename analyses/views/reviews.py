"""The dermatologist's pages: what waits, one case at a time, the opinion before the output."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.access import private
from accounts.audit.models import Action
from accounts.models import Role
from analyses import photo as photos
from analyses import reviews, trace
from analyses.answers import agreement, answers_to
from analyses.images import ImageUnavailableError
from analyses.models import Advice, Analysis, Opinion
from analyses.presentation import entries, entry, result_page
from analyses.review_forms import ReviewForm
from analyses.views.access import clinical, person

if TYPE_CHECKING:
    import uuid

PAGE_SIZE: Final = 25


@private(Role.DERMATOLOGIST)
def worklist(request: HttpRequest) -> HttpResponse:
    """List what waits for this dermatologist, highest risk first, then oldest."""
    user = person(request)
    waiting = reviews.worklist(user).select_related("result", "lesion", "owner")
    page = Paginator(waiting, PAGE_SIZE).get_page(request.GET.get("page"))
    withheld = reviews.withheld_from(user)
    trace.listed(user, [analysis.owner_id for analysis in page.object_list])
    return render(
        request,
        "analyses/review/worklist.html",
        {"page": page, "entries": entries(page.object_list, withheld=withheld)},
    )


@private(Role.DERMATOLOGIST, methods=("GET", "HEAD", "POST"))
def review(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Show a case and take the opinion; once there is one, POST amends it."""
    user = person(request)
    analysis = _reviewable(request, pk)
    own = reviews.own_review(user, analysis)
    if request.method != "POST":
        return _page(request, analysis, ReviewForm.of(own) if own else ReviewForm())
    form = ReviewForm(request.POST)
    if not form.is_valid():
        return _page(request, analysis, form, HTTPStatus.UNPROCESSABLE_ENTITY)
    said: dict[str, Any] = {
        "opinion": Opinion(form.cleaned_data["opinion"]),
        "advice": Advice(form.cleaned_data["advice"]),
        "note": form.cleaned_data["note"],
    }
    try:
        if own is None:
            reviews.write(analysis_id=analysis.pk, author=user, **said)
        else:
            reviews.amend(review_id=own.pk, author=user, **said)
    except reviews.AlreadyReviewedError:
        messages.error(request, _("You have answered this case already. Amend that answer."))
    except reviews.NotReviewableError as error:
        raise Http404 from error
    else:
        messages.success(request, _("Your answer is saved. The patient is told by e-mail."))
    return redirect("analyses:review", analysis.pk)


@private(Role.DERMATOLOGIST, methods=("POST",))
def reveal(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Show the model's output without an opinion; it is noted in the trail."""
    try:
        reviews.reveal(analysis_id=pk, to=person(request))
    except reviews.NotReviewableError as error:
        raise Http404 from error
    return redirect("analyses:review", pk)


@clinical()
def photo(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Stream the held photo to its owner or a dermatologist whom it is shared with."""
    user = person(request)
    analysis = photos.held_photo(user, pk)
    if analysis is None:
        raise Http404
    try:
        body = photos.jpeg(analysis)
    except ImageUnavailableError as error:
        raise Http404 from error
    trace.opened(user, analysis, action=Action.IMAGE_READ)
    response = HttpResponse(body, content_type="image/jpeg")
    response["Content-Disposition"] = "inline"
    return response


def _reviewable(request: HttpRequest, pk: uuid.UUID) -> Analysis:
    found = reviews.reviewable_by(person(request)).select_related("result", "lesion", "owner")
    analysis = found.filter(pk=pk).first()
    if analysis is None:
        raise Http404
    return analysis


def _page(
    request: HttpRequest, analysis: Analysis, form: ReviewForm, status: int = HTTPStatus.OK
) -> HttpResponse:
    user = person(request)
    # Here, because every way to the case ends here: a refused answer shows it as well.
    trace.opened(user, analysis)
    hidden = reviews.opinion_comes_first(user, analysis)
    own = reviews.own_review(user, analysis)
    context: dict[str, Any] = {
        "analysis": analysis,
        "form": form,
        "hidden": hidden,
        "own": own,
        "held": photos.held_photo(user, analysis.pk) is not None,
        "days_left": _days_left(analysis),
        "course": _course(request, analysis),
    }
    if not hidden:
        context |= {
            "entry": entry(analysis),
            "result": result_page(analysis) if analysis.result else None,
            "answers": answers_to(analysis),
            "agreement": agreement(own) if own else None,
        }
    return render(request, "analyses/review/review.html", context, status=status)


def _days_left(analysis: Analysis) -> int | None:
    if analysis.held_until is None:
        return None
    return max((analysis.held_until - timezone.now()).days, 0)


def _course(request: HttpRequest, analysis: Analysis) -> list[Analysis]:
    """Return the lesion's other photos that this person may know of, newest first."""
    if analysis.lesion_id is None:
        return []
    visible = Analysis.objects.visible_to(person(request))
    return list(visible.filter(lesion_id=analysis.lesion_id).exclude(pk=analysis.pk)[:12])
