"""What the hospital says of a person, checked: OpenID Connect Core 1.0, sections 3.1.3.7 and 5.3.2.

allauth leaves out the signature of an ID token that came straight from the token endpoint, as the
specification allows, and takes any `email_verified` that is not empty. Neither is enough here.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import jwt
from allauth.account.models import EmailAddress
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from allauth.utils import build_absolute_uri
from django.conf import settings
from django.core.cache import caches
from django.urls import reverse

from accounts.oidc.transport import is_protected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allauth.socialaccount.models import SocialLogin
    from django.http import HttpRequest

# Signatures by a key of the provider's alone; "none" and shared secrets are no signature.
ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "EdDSA",
)
LEEWAY: Final = 60  # s, clocks differ
NEEDED: Final = ("iss", "sub", "aud", "exp", "iat")
ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
DISCOVERY_KEPT: Final = 300  # s


class ProviderError(OAuth2Error):  # type: ignore[misc]  # untyped library
    """The provider's answer is not to be relied on. Check its configuration, or try again."""


class HospitalAdapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]  # untyped library
    """Speaks to the provider."""

    @property
    def openid_config(self) -> dict[str, Any]:
        """Return the provider's own description. Raises `ProviderError`.

        Its issuer must be the one of the settings, else anybody's description would do. It is kept
        in this process: whoever writes to Redis would name keys of their own.
        """
        key = "oidc:" + hashlib.sha256(settings.OIDC_ISSUER.encode()).hexdigest()
        found: dict[str, Any] | None = caches["process"].get(key)
        if found is None:
            found = self._json(self.get_provider().server_url)
            if found.get("issuer") != settings.OIDC_ISSUER:
                raise ProviderError("the description names another issuer")
            named = [*ENDPOINTS, *({"userinfo_endpoint"} & found.keys())]
            for name in named:
                if not is_protected(str(found.get(name, "")), local=settings.EMBEDDED):
                    msg = f"{name} is missing or not https"
                    raise ProviderError(msg)
            caches["process"].set(key, found, DISCOVERY_KEPT)
        return found

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        """Return where the provider sends the browser back to; it has to know this address."""
        del app
        url: str = build_absolute_uri(request, reverse("hospital_callback"))
        return url

    def complete_login(
        self, request: HttpRequest, app: Any, token: Any, **kwargs: Any
    ) -> SocialLogin:
        """Return the person whom a checked ID token names. Raises `ProviderError`."""
        claims = self._checked(str(kwargs["response"].get("id_token") or ""), app.client_id)
        person: Mapping[str, Any] = claims
        if not {"email", "email_verified"} <= claims.keys():
            if "userinfo_endpoint" in self.openid_config:
                bearer = {"Authorization": f"Bearer {token.token}"}
                person = self._json(self.profile_url, headers=bearer)
            if person.get("sub") != claims["sub"]:
                raise ProviderError("the user information is of another person")
        login: SocialLogin = self.get_provider().sociallogin_from_response(
            request, {**person, "iss": claims["iss"], "sub": claims["sub"]}
        )
        login.claims = claims  # for the adapter, which knows what was asked for
        return login

    def _checked(self, id_token: str, client_id: str) -> dict[str, Any]:
        try:
            keys = jwt.PyJWKSet.from_dict(self._json(self.openid_config["jwks_uri"]))
            claims: dict[str, Any] = jwt.decode(
                id_token,
                key=_key_for(id_token, keys),
                algorithms=list(ALGORITHMS),
                audience=client_id,
                issuer=settings.OIDC_ISSUER,
                leeway=LEEWAY,
                options={"require": list(NEEDED)},
            )
        except jwt.PyJWTError as error:
            msg = f"the ID token does not hold: {type(error).__name__}"
            raise ProviderError(msg) from error
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if several else client_id) != client_id:
            raise ProviderError("the ID token is for another party")
        return claims

    def _json(self, url: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
        try:
            with get_adapter().get_requests_session() as session:
                answer = session.get(url, headers=headers)
                answer.raise_for_status()
                found = answer.json()
        except OSError as error:  # of which every error of requests is one
            msg = f"the provider does not answer as it should: {type(error).__name__}"
            raise ProviderError(msg) from error
        if not isinstance(found, dict):
            raise ProviderError("the provider answers with something else than an object")
        return found


class HospitalProvider(OpenIDConnectProvider):  # type: ignore[misc]  # untyped library
    """Reads the claims: identity, name, address. Nothing else is kept, and no role is read."""

    oauth2_adapter_class = HospitalAdapter

    def extract_uid(self, data: Mapping[str, Any]) -> str:
        """Name the person by issuer and subject: a subject alone is unique within its issuer."""
        return hashlib.sha256(f"{data['iss']}\n{data['sub']}".encode()).hexdigest()

    def extract_extra_data(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Keep nothing."""
        del data
        return {}

    def extract_common_fields(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a new account begins with."""
        return {"email": data.get("email"), "name": data.get("name")}

    def extract_email_addresses(self, data: Mapping[str, Any]) -> list[EmailAddress]:
        """Return the address; verified where the provider says so with a plain `true`."""
        if not data.get("email"):
            return []
        verified = data.get("email_verified") is True
        return [EmailAddress(email=str(data["email"]), verified=verified, primary=True)]


def _key_for(id_token: str, keys: jwt.PyJWKSet) -> jwt.PyJWK:
    """Return the key that the token names; it need not name the only one."""
    kid = jwt.get_unverified_header(id_token).get("kid")
    if kid is None and len(keys.keys) == 1:
        return keys.keys[0]
    for key in keys.keys:
        if key.key_id == kid:
            return key
    raise ProviderError("the ID token names a key that the provider does not have")
