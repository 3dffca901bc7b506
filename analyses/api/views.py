"""Send a photo, follow it, list, export: the analyses of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import parsers, status
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response

from analyses import export, heatmap, trace
from analyses.api.problems import ProblemSerializer
from analyses.api.requests import (
    HOLD_WORDING_VERSION,
    FilterSerializer,
    SubmissionSerializer,
    note_denied,
)
from analyses.api.serializers import JUDGED, AnalysisSerializer
from analyses.api.throttles import ExportThrottle
from analyses.history import Filters
from analyses.intake import submit
from analyses.models import Analysis, Lesion
from analyses.reviews import opinion_comes_first, withheld_from

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterable

    from rest_framework.request import Request

    from accounts.models import User
    from analyses.models.analysis import AnalysisQuerySet

PROBLEM = OpenApiResponse(ProblemSerializer, description="What was wrong, with a stable code.")
no_store = method_decorator(cache_control(no_store=True, private=True), name="dispatch")


class AnalysesOfThePerson(GenericAPIView[Analysis]):
    """What every view here starts from: the analyses that the person may see, and no others."""

    serializer_class = AnalysisSerializer
    queryset = Analysis.objects.none()

    def get_queryset(self) -> AnalysisQuerySet:
        """Return them with what a representation needs."""
        seen = Analysis.objects.visible_to(self.person)
        return seen.select_related("result")

    @property
    def person(self) -> User:
        """Who asks."""
        return cast("User", self.request.user)

    def one(self, analysis_id: uuid.UUID) -> Analysis:
        """Return one of them, and note it when it is another person's; else 404."""
        analysis = get_object_or_404(self.get_queryset(), pk=analysis_id)
        trace.opened(self.person, analysis)
        return analysis

    def filters(self) -> Filters:
        """Return what the query asks for; another's lesion in it finds nothing, and is noted."""
        asked = FilterSerializer.read(self.request.query_params)
        if asked.lesion is not None:
            note_denied(self.request, asked.lesion)
        return asked


@no_store
class AnalysisList(AnalysesOfThePerson):
    """The list, and its door."""

    parser_classes = (parsers.MultiPartParser,)

    @extend_schema(
        operation_id="analyses_create",
        request={"multipart/form-data": SubmissionSerializer},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                description=(
                    "The same key with the same file answers with the first time's analysis; with "
                    "another file it is refused (409)."
                ),
            )
        ],
        responses={
            202: AnalysisSerializer,
            400: PROBLEM,
            401: PROBLEM,
            403: PROBLEM,
            409: PROBLEM,
            413: PROBLEM,
            415: PROBLEM,
            422: PROBLEM,
            429: PROBLEM,
            503: PROBLEM,
        },
    )
    def post(self, request: Request) -> Response:
        """Send one photo. The answer says where to follow its analysis."""
        sent = SubmissionSerializer(data=request.data, context=self.get_serializer_context())
        sent.is_valid(raise_exception=True)
        hold_kind = sent.validated_data["hold_for_review"]
        analysis = submit(
            owner=self.person,
            upload=sent.validated_data["image"],
            image_type=sent.validated_data["image_type"],
            lesion=sent.validated_data.get("lesion"),
            body_site=sent.validated_data.get("body_site", ""),
            hold_kind=hold_kind,
            hold_wording_version=HOLD_WORDING_VERSION if hold_kind else "",
            idempotency_key=request.headers.get("Idempotency-Key"),
        )
        address = request.build_absolute_uri(reverse("api-analysis", args=[analysis.id]))
        return Response(
            self.get_serializer(analysis).data,
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": address},
        )

    @extend_schema(
        operation_id="analyses_list",
        parameters=[FilterSerializer],
        responses={200: AnalysisSerializer(many=True), 400: PROBLEM, 401: PROBLEM},
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002 - the framework's
        """List the analyses, newest first."""
        filters = self.filters()
        found = filters.apply(self.get_queryset())
        if filters.category or filters.status in JUDGED:
            # A filter must not tell what the model said where the reader's opinion comes first.
            found = found.exclude(pk__in=withheld_from(self.person))
        try:
            page = cast("list[Analysis]", self.paginate_queryset(found))
        except NotFound:
            trace.listed(self.person, self._told_of(filters, None))
            raise
        trace.listed(self.person, self._told_of(filters, page))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def _told_of(self, filters: Filters, page: list[Analysis] | None) -> Iterable[uuid.UUID]:
        """Return of whose records the list tells something; `page` is None past its end.

        That there is nothing of a kind, or nothing more, is an answer, too: of one person where a
        lesion was asked for, else of everybody whose record was looked through.
        """
        if filters.lesion is not None:
            asked = Lesion.objects.visible_to(self.person).filter(pk=filters.lesion)
            return asked.values_list("owner_id", flat=True)
        if page is None or filters != Filters():
            return self.get_queryset().order_by().values_list("owner_id", flat=True).distinct()
        return [analysis.owner_id for analysis in page]


@no_store
class AnalysisDetail(AnalysesOfThePerson):
    """One analysis."""

    @extend_schema(responses={200: AnalysisSerializer, 401: PROBLEM, 404: PROBLEM})
    def get(self, request: Request, analysis_id: uuid.UUID) -> Response:  # noqa: ARG002 - Django's
        """Show how far it is, and what came of it."""
        return Response(self.get_serializer(self.one(analysis_id)).data)


@no_store
class AnalysisHeatmap(AnalysesOfThePerson):
    """Where the model responded."""

    @extend_schema(responses={(200, "image/png"): OpenApiTypes.BINARY, 401: PROBLEM, 404: PROBLEM})
    def get(self, request: Request, analysis_id: uuid.UUID) -> HttpResponse:  # noqa: ARG002
        """Draw the activation as a transparent picture in the photo's proportions."""
        analysis = get_object_or_404(self.get_queryset(), pk=analysis_id)
        result = analysis.result
        if result is None or result.heatmap is None or opinion_comes_first(self.person, analysis):
            raise NotFound
        trace.opened(self.person, analysis)
        png = heatmap.render(result.heatmap, width=analysis.width, height=analysis.height)
        return HttpResponse(png, content_type="image/png")


@no_store
class AnalysisExport(AnalysesOfThePerson):
    """The person's own analyses as a table."""

    throttle_classes = (ExportThrottle,)

    @extend_schema(
        parameters=[FilterSerializer],
        responses={
            (200, "text/csv"): OpenApiTypes.STR,
            400: PROBLEM,
            401: PROBLEM,
            429: PROBLEM,
        },
    )
    def get(self, request: Request) -> StreamingHttpResponse:  # noqa: ARG002 - the framework's
        """Stream one's own analyses as CSV, narrowed as the list is."""
        own = self.filters().apply(Analysis.objects.filter(owner=self.person))
        trace.exported(self.person, [], kind="csv")
        return StreamingHttpResponse(
            export.lines(own),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="dermai-analyses.csv"'},
        )
