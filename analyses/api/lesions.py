"""The lesions that a person follows."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from django.db import transaction
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics
from rest_framework.exceptions import NotFound

from accounts import locks
from analyses import erasure, quota
from analyses.api.requests import LesionSerializer
from analyses.api.throttles import LesionThrottle
from analyses.api.views import PROBLEM, no_store
from analyses.models import Lesion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rest_framework.serializers import BaseSerializer

    from accounts.models import User
    from analyses.models.lesion import LesionQuerySet


class OwnLesions(generics.GenericAPIView[Lesion]):
    """One's own lesions: what others share is read through its analyses."""

    serializer_class = LesionSerializer
    throttle_classes = (LesionThrottle,)
    queryset = Lesion.objects.none()

    def get_queryset(self) -> LesionQuerySet:
        """Return those of the person who asks."""
        return Lesion.objects.filter(owner=cast("User", self.request.user))

    @contextmanager
    def in_a_row(self, serializer: BaseSerializer[Lesion]) -> Iterator[User]:
        """Keep who asks for the body, and check what was posted as things are by then.

        Of two requests at one moment, each found the name free.
        """
        owner = cast("User", self.request.user)
        with transaction.atomic():
            locks.keep(owner.pk)
            serializer.run_validation(serializer.initial_data)
            yield owner


@no_store
@extend_schema_view(
    get=extend_schema(responses={200: LesionSerializer(many=True), 401: PROBLEM}),
    post=extend_schema(
        responses={201: LesionSerializer, 400: PROBLEM, 401: PROBLEM, 409: PROBLEM, 429: PROBLEM}
    ),
)
class LesionList(OwnLesions, generics.ListCreateAPIView[Lesion]):
    """List one's lesions, or begin to follow one."""

    def perform_create(self, serializer: BaseSerializer[Lesion]) -> None:
        """Make who asks the owner, whatever was posted."""
        with self.in_a_row(serializer) as owner:
            quota.check_lesions(owner)
            serializer.save(owner=owner)


@no_store
@extend_schema_view(
    get=extend_schema(responses={200: LesionSerializer, 404: PROBLEM}),
    patch=extend_schema(
        responses={200: LesionSerializer, 400: PROBLEM, 404: PROBLEM, 429: PROBLEM}
    ),
    delete=extend_schema(responses={204: None, 404: PROBLEM, 429: PROBLEM}),
)
class LesionDetail(OwnLesions, generics.RetrieveUpdateDestroyAPIView[Lesion]):
    """Read, rename or forget a lesion. Its analyses stay, without it."""

    http_method_names = ("get", "head", "options", "patch", "delete")
    lookup_url_kwarg = "lesion_id"

    def perform_update(self, serializer: BaseSerializer[Lesion]) -> None:
        """Change the lesion as it is now; one that was deleted meanwhile does not come back."""
        with self.in_a_row(serializer):
            own = self.get_queryset().select_for_update()
            serializer.instance = get_object_or_404(own, pk=self.kwargs[self.lookup_url_kwarg])
            serializer.save()

    def perform_destroy(self, instance: Lesion) -> None:
        """Delete the lesion as the page does, with its traces; the analyses stay."""
        by = cast("User", self.request.user)
        try:
            erasure.delete_lesion(lesion_id=instance.pk, by=by, keep_analyses=True)
        except erasure.NotYoursError as error:
            # Somebody was faster.
            raise NotFound from error
