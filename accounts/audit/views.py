"""The administrator's view of the trail, and the patient's of who opened the record."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from django.core.paginator import Paginator
from django.shortcuts import render

from accounts.access import person, private
from accounts.audit import reading
from accounts.audit.forms import TrailFilterForm
from accounts.audit.models import AuditEvent
from accounts.models import Role

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

PAGE_SIZE: Final = 50


@private(Role.ADMIN)
def trail(request: HttpRequest) -> HttpResponse:
    """Search the trail: who did what to whose record and when; no clinical content is in it.

    A filter that makes no sense finds nothing, with an error: the whole trail is no answer to it.
    """
    form = TrailFilterForm(request.GET)
    found = reading.search(**form.cleaned_data) if form.is_valid() else AuditEvent.objects.none()
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(
        request,
        "accounts/audit/trail.html",
        {
            "form": form,
            "page": page,
            "lines": reading.lines(page.object_list),
        },
        status=HTTPStatus.OK if form.is_valid() else HTTPStatus.BAD_REQUEST,
    )


@private()
def access_log(request: HttpRequest) -> HttpResponse:
    """Show a person who else opened the record, and when."""
    page = Paginator(reading.openings_of(person(request)), PAGE_SIZE).get_page(
        request.GET.get("page")
    )
    return render(
        request,
        "accounts/audit/access_log.html",
        {"page": page, "lines": reading.lines(page.object_list)},
    )
