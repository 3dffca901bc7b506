"""A small OpenID Connect provider: a server on this machine that speaks the code flow with PKCE."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

if TYPE_CHECKING:
    from pytest_django.fixtures import SettingsWrapper

CLIENT_ID = "dermai"
CLIENT_SECRET = "a secret of the hospital"
Claims = dict[str, Any]
ALICE: Claims = {
    "sub": "4711",
    "email": "alice@hospital.example",
    "email_verified": True,
    "name": "Alice Alder",
}


class Provider:
    """What the hospital knows, and how it answers; a test changes either."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}/realm"
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.person: Claims = {}
        self.userinfo: Claims | None = None
        self.described: Claims = {}  # over the description
        self.sign: Callable[[Claims], str] = self.signed
        self.grants: dict[str, dict[str, str]] = {}
        self.cancels = False

    def signed(self, claims: Claims, *, key: Any = None, **header: Any) -> str:
        return jwt.encode(
            claims,
            key or self.key,
            algorithm=header.pop("algorithm", "RS256"),
            headers={"kid": "one", **header},
        )

    def jwks(self) -> Claims:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": "one", "use": "sig", "alg": "RS256"}]}

    def description(self) -> Claims:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            **self.described,
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Return where the browser is sent: the person has signed in by now."""
        assert asked["client_id"] == CLIENT_ID
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        back = {"state": asked["state"]}
        if self.cancels:
            back["error"] = "access_denied"
        else:
            back["code"] = secrets.token_urlsafe(16)
            self.grants[back["code"]] = asked
        return f"{asked['redirect_uri']}?{urlencode(back)}"

    def token(self, sent: dict[str, str]) -> tuple[int, Claims]:
        asked = self.grants.pop(sent.get("code", ""), None)
        verifier = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if (
            asked is None
            or sent.get("client_secret") != CLIENT_SECRET
            or sent.get("redirect_uri") != asked["redirect_uri"]
            or asked["code_challenge"] != challenge
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "nonce": asked["nonce"],
            **self.person,
        }
        answer = {"access_token": "bearer of much", "token_type": "Bearer"}
        return 200, {**answer, "id_token": self.sign(claims)}


def _handler(find: Callable[[], Provider]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider, address = find(), urlsplit(self.path)
            match address.path.removeprefix("/realm"):
                case "/.well-known/openid-configuration":
                    self._answer(200, provider.description())
                case "/authorize":
                    self.send_response(302)
                    self.send_header("Location", provider.authorize(dict(parse_qsl(address.query))))
                    self.end_headers()
                case "/jwks":
                    self._answer(200, provider.jwks())
                case "/userinfo" if self.headers["Authorization"] == "Bearer bearer of much":
                    self._answer(200, provider.userinfo or {})
                case _:
                    self._answer(404, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer(*find().token({name: value[0] for name, value in parse_qs(body).items()}))

        def _answer(self, status: int, content: Claims) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def serving() -> Iterator[Provider]:
    """Serve a provider until the end of the block."""
    found: list[Provider] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(lambda: found[0]))
    found.append(Provider(server.server_address[1]))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found[0]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def browse(target: str) -> str:
    """Open `target` at the provider, as a browser does; return where it is sent back to."""
    address = urlsplit(target)
    assert address.hostname
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    try:
        connection.request("GET", f"{address.path}?{address.query}")
        answer = connection.getresponse()
        assert answer.status == 302
        return str(answer.headers["Location"])
    finally:
        connection.close()


def configure(settings: SettingsWrapper, provider: Provider) -> None:
    """Set `provider` up, as the environment would."""
    kinds = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]
    app = {
        "provider_id": "hospital",
        "name": "St. Mary's",
        "client_id": CLIENT_ID,
        "secret": CLIENT_SECRET,
        "settings": {"server_url": f"{provider.issuer}/.well-known/openid-configuration"},
    }
    settings.OIDC_ISSUER = provider.issuer
    settings.OIDC_SIGNUP = "invited"
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {**kinds, "APPS": [app]}}
