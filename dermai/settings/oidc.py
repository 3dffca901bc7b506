"""Sign-in through a hospital's own OpenID Connect provider; off without `OIDC_ISSUER`."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from accounts.oidc.transport import is_protected
from dermai.settings.mode import EMBEDDED, env

# Exactly as the provider writes it in its tokens, with or without a slash at the end.
OIDC_ISSUER: str = env.str("OIDC_ISSUER", default="")
# Who gets in: "invited", people with an account here; "patients", anybody the hospital knows, as a
# patient. Roles are given here, never by a token.
OIDC_SIGNUP: str = env.str("OIDC_SIGNUP", default="invited")
if OIDC_SIGNUP not in {"invited", "patients"}:
    msg = f"OIDC_SIGNUP is {OIDC_SIGNUP!r}; it must be 'invited' or 'patients'."
    raise ImproperlyConfigured(msg)
if OIDC_ISSUER and not is_protected(OIDC_ISSUER, local=EMBEDDED):
    msg = f"OIDC_ISSUER is {OIDC_ISSUER!r}; it must begin with https://."
    raise ImproperlyConfigured(msg)

_HOSPITAL = {
    "provider_id": "hospital",
    "name": env.str("OIDC_NAME", default="OpenID Connect"),
    "client_id": env.str("OIDC_CLIENT_ID") if OIDC_ISSUER else "",
    "secret": env.str("OIDC_CLIENT_SECRET") if OIDC_ISSUER else "",
    "settings": {"server_url": f"{OIDC_ISSUER.rstrip('/')}/.well-known/openid-configuration"},
}
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "provider_class": "accounts.oidc.provider.HospitalProvider",
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [_HOSPITAL] if OIDC_ISSUER else [],
    }
}
SOCIALACCOUNT_ADAPTER = "accounts.oidc.adapter.HospitalAccounts"
SOCIALACCOUNT_AUTO_SIGNUP = False
# Who has signed in once is known by the provider's own name of the person from then on.
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True
SOCIALACCOUNT_STORE_TOKENS = False
