"""Every error of the API as a problem (RFC 9457) with a stable code, and its HTTP status."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.exceptions import PermissionDenied, TooManyFilesSent
from django.core.signals import got_request_exception
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions, serializers, status
from rest_framework.response import Response
from rest_framework.views import set_rollback

from analyses import exceptions as refused

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTENT_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = "60"  # s
INTAKE_STATUS: Final[dict[str, int]] = {
    refused.ConsentMissingError.code: status.HTTP_403_FORBIDDEN,
    refused.TooLargeError.code: status.HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    refused.TooManyPixelsError.code: status.HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    refused.UnsupportedTypeError.code: status.HTTP_415_UNSUPPORTED_MEDIA_TYPE,
    refused.StorageUnavailableError.code: status.HTTP_503_SERVICE_UNAVAILABLE,
    refused.DecoderUnavailableError.code: status.HTTP_503_SERVICE_UNAVAILABLE,
    refused.QuotaExceededError.code: status.HTTP_429_TOO_MANY_REQUESTS,
    refused.TooManyPendingError.code: status.HTTP_429_TOO_MANY_REQUESTS,
    refused.TooManyHeldError.code: status.HTTP_429_TOO_MANY_REQUESTS,
    refused.TooManyAtOnceError.code: status.HTTP_429_TOO_MANY_REQUESTS,
    refused.TooManyRefusedError.code: status.HTTP_429_TOO_MANY_REQUESTS,
    refused.TooManyFilesError.code: status.HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    refused.TooManyLesionsError.code: status.HTTP_409_CONFLICT,
    refused.IdempotencyConflictError.code: status.HTTP_409_CONFLICT,
    refused.IdempotencyKeyTooLongError.code: status.HTTP_400_BAD_REQUEST,
}
OTHER_INTAKE_STATUS: Final = status.HTTP_422_UNPROCESSABLE_ENTITY
TITLES: Final[dict[int, str]] = {
    400: "The request is not valid",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported type",
    422: "The picture cannot be used",
    429: "Too many requests",
    500: "Internal error",
    503: "Temporarily unavailable",
}
logger = logging.getLogger(__name__)


class ProblemSerializer(serializers.Serializer[None]):
    """A problem, as the schema states it."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    # The metaclass takes the declared fields away, so the property stays.
    errors = serializers.DictField(required=False)  # type: ignore[assignment]


def problem_body(http_status: int, code: str, detail: str, **extra: Any) -> dict[str, Any]:
    """Return the members of a problem."""
    return {
        "type": "about:blank",
        "title": TITLES.get(http_status, "Error"),
        "status": http_status,
        "code": code,
        "detail": detail,
        **extra,
    }


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response:
    """Turn whatever a view raised into a problem."""
    set_rollback()
    if isinstance(error, TooManyFilesSent):
        error = refused.TooManyFilesError(limit=settings.DATA_UPLOAD_MAX_NUMBER_FILES)
    if isinstance(error, refused.IntakeError):
        return _intake(error)
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if isinstance(error, exceptions.APIException):
        return _api(error)
    request = context.get("request")
    got_request_exception.send(sender=None, request=getattr(request, "_request", None))
    logger.error("an API view failed", exc_info=error)
    return _response(500, "internal_error", "The server failed. It was logged; try again later.")


def not_found(_request: HttpRequest, **_: str) -> JsonResponse:
    """Answer for API addresses that do not exist."""
    return problem_response(404, code="not_found", detail="There is nothing at this address.")


def problem_response(http_status: int, *, code: str, detail: str) -> JsonResponse:
    """Answer with a problem where no view of the framework is at work."""
    body = problem_body(http_status, code, detail)
    return JsonResponse(body, status=http_status, content_type=CONTENT_TYPE)


def _intake(error: refused.IntakeError) -> Response:
    http_status = INTAKE_STATUS.get(error.code, OTHER_INTAKE_STATUS)
    response = _response(http_status, error.code, error.message)
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    elif http_status == status.HTTP_503_SERVICE_UNAVAILABLE:
        response["Retry-After"] = RETRY_AFTER
    return response


def _api(error: exceptions.APIException) -> Response:
    headers = {}
    if header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = header
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    if isinstance(error, exceptions.ValidationError):
        response = _response(
            error.status_code,
            "invalid",
            "Some fields are not valid; see errors.",
            errors=_field_errors(error.get_full_details()),
        )
    else:
        codes = error.get_codes()
        code = codes if isinstance(codes, str) else error.default_code
        response = _response(error.status_code, code, str(error.detail))
    for name, value in headers.items():
        response[name] = value
    return response


def _field_errors(details: Any) -> dict[str, list[dict[str, str]]]:
    if not isinstance(details, dict) or "message" in details:
        details = {"non_field_errors": details}
    return {
        str(field): [
            {"code": str(one["code"]), "message": str(one["message"])}
            for one in (found if isinstance(found, list) else [found])
            if isinstance(one, dict) and "code" in one
        ]
        for field, found in details.items()
    }


def _response(http_status: int, code: str, detail: str, **extra: Any) -> Response:
    return Response(
        problem_body(http_status, code, detail, **extra),
        status=http_status,
        content_type=CONTENT_TYPE,
    )
