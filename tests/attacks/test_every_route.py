"""Every route of the configuration: headers, no-store, CSRF. A new route is swept by itself."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from tests.security.access_table import rows
from tests.security.routes import address, routes
from tests.security.world import World, make_world

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
# Answers that anybody may get, so any cache may keep them.
PUBLIC = re.compile(
    r"/(healthz|readyz|styleguide/|model/|i18n/.*|favicon.*|robots.*|api/v1/(schema|docs)/.*)?"
)


@pytest.fixture
def world(db: None, image_store: object) -> World:
    return make_world()


def addresses(world: World) -> dict[str, str]:
    """Spell each route, with the ids of Alice's things where it takes some."""
    things = {row.route: row.thing for row in rows() if row.thing}
    ids = world.alice.ids()
    return {route: address(route, things.get(route) or "analysis", ids) for route in routes()}


def browser(user: object = None, *, csrf: bool = False) -> Client:
    client = Client(enforce_csrf_checks=csrf, raise_request_exception=False)
    if user is not None:
        client.force_login(user)
    return client


@pytest.mark.parametrize("who", ["anonymous", "alice", "root"])
def test_every_answer_carries_the_security_headers(world: World, who: str) -> None:
    person = None if who == "anonymous" else getattr(world, who).owner
    client = browser(person)
    wrong: dict[str, list[str]] = {}
    for path in addresses(world).values():
        answer = client.get(path)
        policy = answer.get("Content-Security-Policy", "")
        checks = {
            "no 500": answer.status_code < 500 or path == "/readyz",
            "sources": {
                "default-src 'self'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self' blob: data:",
            }
            <= {rule.strip() for rule in policy.split(";")},
            "no unsafe": "unsafe" not in policy and "*" not in policy,
            "object-src": "object-src 'none'" in policy,
            "base-uri": "base-uri 'none'" in policy,
            "form-action": "form-action 'self'" in policy,
            "frame-ancestors": "frame-ancestors 'none'" in policy,
            "frame": answer.get("X-Frame-Options") == "DENY",
            "nosniff": answer.get("X-Content-Type-Options") == "nosniff",
            "referrer": answer.get("Referrer-Policy") == "same-origin",
            "permissions": "camera=()" in answer.get("Permissions-Policy", ""),
            "opener": answer.get("Cross-Origin-Opener-Policy") == "same-origin",
            "resource": answer.get("Cross-Origin-Resource-Policy") == "same-origin",
            "request id": len(answer.get("X-Request-ID", "")) == 32,
            "server": "Server" not in answer and "X-Powered-By" not in answer,
        }
        if failed := [name for name, holds in checks.items() if not holds]:
            wrong[path] = failed
        if client.session.get("_auth_user_id") is None and person is not None:
            client.force_login(person)
    assert wrong == {}


@pytest.mark.parametrize("who", ["alice", "bob", "root"])
def test_no_cache_keeps_what_a_signed_in_person_sees(world: World, who: str) -> None:
    client = browser(getattr(world, who).owner)
    kept = []
    for path in addresses(world).values():
        if PUBLIC.fullmatch(path):
            continue
        answer = client.get(path)
        said = answer.get("Cache-Control", "")
        if answer.status_code == 200 and "no-store" not in said:
            kept.append(f"{path}: {said or 'nothing'}")
    assert kept == []


def test_every_unsafe_method_needs_the_csrf_token(world: World) -> None:
    client = browser(world.alice.owner, csrf=True)
    let_in = []
    for route, path in addresses(world).items():
        for method in UNSAFE:
            answer = client.generic(method, path, b"", content_type="application/json")
            # 405: there is no such method here. The token's credentials are in its body.
            by_credentials = (route, method) == ("api/v1/tokens/", "POST")
            if answer.status_code not in {403, 405, 404} and not by_credentials:
                let_in.append(f"{method} {path}: {answer.status_code}")
    assert let_in == []
    world.alice.analysis.refresh_from_db()
    world.alice.lesion.refresh_from_db()
    world.alice.token.refresh_from_db()
    world.alice.share.refresh_from_db()
    assert world.alice.token.revoked_at is None
    assert world.alice.share.revoked_at is None


def test_reading_every_page_changes_nothing_of_ones_own(world: World) -> None:
    def state() -> list[object]:
        things = (world.alice.analysis, world.alice.lesion, world.alice.token, world.alice.share)
        found: list[object] = []
        for thing in things:
            thing.refresh_from_db()
            found += [
                (name, value) for name, value in vars(thing).items() if not name.startswith("_")
            ]
        return found

    before = state()
    client = browser(world.alice.owner)
    for path in addresses(world).values():
        client.get(path)
    assert state() == before
    assert client.get("/dashboard/").status_code == 200
