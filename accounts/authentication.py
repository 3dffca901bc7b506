"""`Authorization: Bearer …`: a request of the API in the name of a token's owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed

from accounts import second_factor, tokens

if TYPE_CHECKING:
    from rest_framework.request import Request

    from accounts.models import ApiToken, User

SCHEME = "Bearer"


class TokenAuthentication(BaseAuthentication):
    """Accepts a live token. Needs no CSRF token: a browser never sends this header by itself."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """Return the owner and the token; None where another kind of credentials was sent."""
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != SCHEME.lower().encode():
            return None
        token = tokens.find(parts[1].decode("latin-1")) if len(parts) == 2 else None  # noqa: PLR2004 - scheme and token
        if token is None:
            raise AuthenticationFailed(_("The token is unknown, expired or revoked."))
        if second_factor.is_missing(token.user):
            raise AuthenticationFailed(
                _("Set up the second factor on the pages first."), code="second_factor_missing"
            )
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """Return what a 401 answer asks for."""
        del request
        return SCHEME


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes the bearer token in the API's schema."""

    target_class = "accounts.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """Return the OpenAPI security scheme."""
        del auto_schema
        return {"type": "http", "scheme": "bearer"}
