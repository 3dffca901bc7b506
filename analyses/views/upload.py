"""Sending photos: one form for browsers without JavaScript, one POST a file for those with it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.consent import has_consented
from analyses import denials, intake, wording
from analyses.answers import human_help
from analyses.exceptions import MEGABYTE, IntakeError, TooManyLesionsError
from analyses.forms import NEW_LESION, UploadForm
from analyses.models import Analysis, HoldKind, Lesion
from analyses.views.access import clinical, person
from analyses.views.consent import ask_first

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile

    from accounts.models import User


@dataclass(frozen=True, slots=True)
class Refused:
    """A file or name that was not taken, as the person knows it, and why."""

    name: str
    error: IntakeError


@clinical("POST")
def upload(request: HttpRequest) -> HttpResponse:
    """Show the form; take the photos. A bad file never fails the others.

    A script asks with `Accept: application/json` and sends one file a request; it is answered 201
    with the analysis' address, or 422 with what was wrong. Who has not agreed to the processing is
    asked for that first.
    """
    owner = person(request)
    by_script = request.headers.get("Accept", "").startswith("application/json")
    if not has_consented(owner) and not by_script:
        return ask_first(request)
    if request.method != "POST":
        return _page(request, UploadForm(owner=owner, initial=_initial(request, owner)))
    return _take(request, owner, by_script=by_script)


def _take(request: HttpRequest, owner: User, *, by_script: bool) -> HttpResponse:
    form = UploadForm(request.POST, request.FILES, owner=owner)
    if not form.is_valid():
        if "lesion" in form.errors:
            denials.note_named(request, owner, request.POST.get("lesion"))
        if by_script:
            return _refusal(" ".join(str(e) for found in form.errors.values() for e in found))
        return _page(request, form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    accepted, refused = _submit_all(owner, form)
    if accepted:
        for bad in refused:
            messages.error(
                request,
                _("%(name)s was not taken. %(why)s") % {"name": bad.name, "why": bad.error.message},
            )
    if by_script:
        if not accepted:
            error = refused[0].error
            return _with_wait(_refusal(error.message, code=error.code), refused)
        analysis = accepted[0]
        return JsonResponse(
            {"id": str(analysis.pk), "url": reverse("analyses:detail", args=[analysis.pk])},
            status=HTTPStatus.CREATED,
        )
    return _answer(request, form, accepted, refused)


def _submit_all(owner: User, form: UploadForm) -> tuple[list[Analysis], list[Refused]]:
    data = form.cleaned_data
    files: list[UploadedFile[Any]] = data["files"]
    lesion = form.existing_lesion()
    accepted, refused = [], []
    for number, file in enumerate(files):
        key = data["idempotency_key"]
        try:
            analysis = intake.submit(
                owner=owner,
                upload=file,
                image_type=data["image_type"],
                lesion=lesion,
                body_site=data["body_site"],
                hold_kind=data["hold_kind"],
                hold_wording_version=wording.HOLD_WORDING_VERSION if data["hold_kind"] else "",
                idempotency_key=f"{key}-{number}" if key and len(files) > 1 else key or None,
            )
        except IntakeError as error:
            refused.append(Refused(file.name or _("photo"), error))
        else:
            accepted.append(analysis)
    name = form.new_lesion_name()
    if accepted and name:
        # Only now: a refused photo must not leave an empty lesion behind.
        try:
            new = intake.follow(owner=owner, name=name, body_site=data["body_site"])
        except TooManyLesionsError as error:  # another request took the last place meanwhile
            refused.append(Refused(name, error))
        else:
            ids = [analysis.pk for analysis in accepted]
            Analysis.objects.filter(pk__in=ids, owner=owner).update(lesion=new)
    return accepted, refused


def _answer(
    request: HttpRequest, form: UploadForm, accepted: list[Analysis], refused: list[Refused]
) -> HttpResponse:
    if not accepted:
        for bad in refused:
            form.add_error("image", f"{bad.name}: {bad.error.message}")
        page = _page(request, form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        return _with_wait(page, refused)
    if len(accepted) == 1:
        return redirect("analyses:detail", accepted[0].pk)
    messages.success(request, _accepted_words(form, len(accepted)))
    return redirect("analyses:list")


def _accepted_words(form: UploadForm, count: int) -> str:
    if form.cleaned_data["hold_kind"] == HoldKind.HUMAN_ONLY:
        words = ngettext(
            "%(count)d photo is left to a human.", "%(count)d photos are left to a human.", count
        )
    else:
        words = ngettext(
            "%(count)d photo is being analysed.", "%(count)d photos are being analysed.", count
        )
    return words % {"count": count}


def _initial(request: HttpRequest, owner: User) -> dict[str, Any]:
    """Take over from a link which lesion and which wish the person comes with."""
    initial: dict[str, Any] = {"idempotency_key": uuid.uuid4().hex}
    asked = request.GET.get("hold", "")
    if asked in HoldKind.values:
        initial["hold_kind"] = asked
    lesion = request.GET.get("lesion", "")
    if lesion == NEW_LESION:
        initial["lesion"] = NEW_LESION
    for own in Lesion.objects.filter(owner=owner):
        if str(own.pk) == lesion:
            initial |= {"lesion": lesion, "body_site": own.body_site}
    return initial


def _page(request: HttpRequest, form: UploadForm, status: int = HTTPStatus.OK) -> HttpResponse:
    limit: int = settings.UPLOAD_MAX_BYTES
    context = {
        "form": form,
        "max_bytes": limit,
        "max_megabytes": limit // MEGABYTE,
        "human": human_help(person(request)),
    }
    return render(request, "analyses/upload.html", context, status=status)


def _with_wait(answer: HttpResponse, refused: list[Refused]) -> HttpResponse:
    """Say by status and header, too, where it was one file too many for now."""
    waits = [one.error.retry_after for one in refused if one.error.retry_after is not None]
    if waits:
        answer.status_code = HTTPStatus.TOO_MANY_REQUESTS
        answer["Retry-After"] = str(max(waits))
    return answer


def _refusal(message: str, code: str = "invalid") -> JsonResponse:
    return JsonResponse({"code": code, "message": message}, status=HTTPStatus.UNPROCESSABLE_ENTITY)
