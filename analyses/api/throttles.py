"""How often a person may ask the API for what costs much or leaves a row behind each time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from redis.exceptions import RedisError
from rest_framework.permissions import SAFE_METHODS
from rest_framework.throttling import UserRateThrottle

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

logger = logging.getLogger(__name__)


class PerHour(UserRateThrottle):
    """So many an hour for each person as the setting `limit` says; 0 is no limit.

    Without Redis nothing is counted, and everything passes.
    """

    limit: ClassVar[str]

    def get_rate(self) -> str | None:
        """Return the rate in the library's words; None is no limit."""
        most: int = getattr(settings, self.limit)
        return f"{most}/hour" if most else None

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Count one; tell whether it is within the limit."""
        try:
            return super().allow_request(request, view)
        except RedisError as error:
            logger.warning("%s is not counted: %s", self.limit, error)
            return True


class ExportThrottle(PerHour):
    """Tables taken along."""

    scope = "export"
    limit = "EXPORTS_PER_HOUR"


class LesionThrottle(PerHour):
    """Changes of lesions; reading is free."""

    scope = "lesions"
    limit = "LESION_CHANGES_PER_HOUR"

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Count what changes something."""
        return request.method in SAFE_METHODS or super().allow_request(request, view)
