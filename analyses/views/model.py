"""What the model is, how good it is, and where it fails; and the styleguide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.shortcuts import render
from django.views.decorators.http import require_safe

from analyses import wording
from analyses.model_page import model_page
from analyses.styleguide import samples

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@require_safe
def model(request: HttpRequest) -> HttpResponse:
    """Show the bundle's own account of itself."""
    return render(
        request,
        "analyses/model.html",
        {"model": model_page(settings.BUNDLE_DIR), "warnings": wording.WARNINGS},
    )


@require_safe
def styleguide(request: HttpRequest) -> HttpResponse:
    """Show every component with its states, drawn with made-up values."""
    return render(request, "analyses/styleguide.html", samples())
