"""The API's tokens: get one for address and password, list one's own, revoke one.

Included by the API's addresses as `urlpatterns`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from allauth.account import app_settings
from allauth.account.adapter import get_adapter
from allauth.account.utils import has_verified_email
from django.core.exceptions import ValidationError
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import AuthenticationFailed, NotFound, PermissionDenied, Throttled
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import code_limits, failures, rates, second_factor, tokens
from accounts.authentication import SCHEME
from accounts.models import ApiToken, User

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rest_framework.authentication import BaseAuthentication
    from rest_framework.permissions import _SupportsHasPermission
    from rest_framework.request import Request

WRONG = _("The e-mail address or the password is wrong.")
THROTTLE_WAIT = 300  # s, the longest window of ACCOUNT_RATE_LIMITS["login_failed"]

# Each is a row of its own and one in the trail, however right the password.
RATES: Final = {"token": "30/h/user"}
TOKENS_WAIT: Final = 3600  # s


class CredentialsSerializer(serializers.Serializer[Any]):
    """What a token is given for."""

    email = serializers.EmailField()
    password = serializers.CharField(trim_whitespace=False, max_length=1024)
    otp = serializers.CharField(
        required=False,
        max_length=32,
        help_text="The code of the second factor, where the account has one.",
    )


class NewTokenSerializer(serializers.Serializer[Any]):
    """A new token. It is shown this once."""

    token = serializers.CharField()
    expires_at = serializers.DateTimeField()


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token of one's own, without its secret."""

    class Meta:
        model = ApiToken
        fields: ClassVar = ["id", "created_at", "expires_at", "last_used_at"]


class TokensView(APIView):
    """Get a token, list one's own."""

    def get_authenticators(self) -> list[BaseAuthentication]:
        """POST carries its credentials in the body, and answers to no session."""
        if self.request is not None and self.request.method == "POST":
            return []
        return super().get_authenticators()

    def get_permissions(self) -> Sequence[_SupportsHasPermission]:
        """POST is for those who are not signed in yet."""
        return [] if self.request.method == "POST" else super().get_permissions()

    def get_authenticate_header(self, request: Request) -> str:
        """Name the scheme, without which a refusal would read 403 instead of 401."""
        del request
        return SCHEME

    @extend_schema(request=CredentialsSerializer, responses={201: NewTokenSerializer}, auth=[])
    def post(self, request: Request) -> Response:
        """Give a token for address, password and, where there is one, second factor."""
        credentials = CredentialsSerializer(data=request.data)
        credentials.is_valid(raise_exception=True)
        user = _authenticate(request, **credentials.validated_data)
        asked = request._request  # noqa: SLF001 - the documented way to the request below
        if not rates.within(asked, "token", RATES, user=user):
            raise Throttled(wait=TOKENS_WAIT)
        try:
            token, secret = tokens.issue(user)
        except tokens.ChangedMeanwhileError as error:
            raise AuthenticationFailed(WRONG, code="invalid_credentials") from error
        answer = NewTokenSerializer({"token": secret, "expires_at": token.expires_at})
        return Response(
            answer.data, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"}
        )

    @extend_schema(responses={200: TokenSerializer(many=True)})
    def get(self, request: Request) -> Response:
        """List one's own live tokens, newest first."""
        user = cast("User", request.user)
        live = user.api_tokens.filter(revoked_at=None, expires_at__gt=timezone.now())
        return Response(TokenSerializer(live, many=True).data)


class TokenView(APIView):
    """One token of one's own."""

    @extend_schema(responses={204: None})
    def delete(self, request: Request, token_id: int) -> Response:
        """Revoke it, at once and for good."""
        if not tokens.revoke(token_id, of=cast("User", request.user)):
            raise NotFound
        return Response(status=status.HTTP_204_NO_CONTENT)


class CurrentTokenView(APIView):
    """The token that the request was sent with."""

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        """Revoke it: what a program does when it signs out."""
        if not isinstance(request.auth, ApiToken):
            raise NotFound
        tokens.revoke(request.auth.pk, of=request.auth.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _authenticate(request: Request, *, email: str, password: str, otp: str = "") -> User:
    """Return the user behind the credentials, counted and refused like a sign-in of the pages.

    One answer for an unknown address, a wrong password and a closed account.
    """
    django_request = request._request  # noqa: SLF001 - the documented way to the request below
    try:
        user = get_adapter().authenticate(django_request, email=email.lower(), password=password)
    except ValidationError as error:
        raise Throttled(wait=THROTTLE_WAIT) from error
    if user is None or not user.is_active:
        raise AuthenticationFailed(WRONG, code="invalid_credentials")
    mandatory = app_settings.EmailVerificationMethod.MANDATORY
    if mandatory == app_settings.EMAIL_VERIFICATION and not has_verified_email(user):
        raise PermissionDenied(
            _("Follow the link in the e-mail that we sent you first."), code="email_not_verified"
        )
    _require_second_factor(user, otp)
    return cast("User", user)


def _require_second_factor(user: User, otp: str) -> None:
    """Refuse unless `otp` is right, where the account has a second factor or must have one."""
    if second_factor.is_missing(user):
        raise PermissionDenied(
            _("Set up the second factor on the pages first."), code="second_factor_missing"
        )
    if user.second_factor_since is None:
        return
    if not otp:
        raise AuthenticationFailed(
            _("Send the code of your second factor as `otp`."), code="otp_required"
        )
    try:
        tried = code_limits.count(user)
    except ValidationError as error:
        raise Throttled(wait=THROTTLE_WAIT) from error
    used = second_factor.verify(user, otp)
    if used is None:
        failures.record_code(user)
        raise AuthenticationFailed(
            _("The code is wrong or has been used already."), code="invalid_otp"
        )
    tried.was_right()
    used.record_usage()


urlpatterns = [
    path("tokens/", TokensView.as_view(), name="tokens"),
    path("tokens/current/", CurrentTokenView.as_view(), name="current-token"),
    path("tokens/<int:token_id>/", TokenView.as_view(), name="token"),
]
