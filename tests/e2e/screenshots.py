"""Take pictures of every page in every state and role, at three widths, light and dark.

`python -m tests.e2e.screenshots [--only NAME …] [--widths 360 …] [--schemes light …]`: writes PNG
files under `var/screenshots/`. It starts a server and a Redis of its own in a temporary home; all
people and lesions in the pictures are made up.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.product import free_port

if TYPE_CHECKING:
    from accounts.models import User

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or "/usr/bin/chromium"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
]
PASSWORD = "correct horse battery staple"
# Whose page it is, by the beginning of the picture's name; the rest are the patient's.
PEOPLE = {
    "out-": None,
    "doctor-": "bea@example.org",
    "admin-": "cleo@example.org",
    "passkey-": "dora@example.org",
}
PATIENT = "ana@example.org"
STARTS_WITHIN = 180  # s
LONG = 24 * 3600  # s
ABSENT = "00000000-0000-4000-8000-000000000000"


def main() -> int:
    """Take the pictures; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "var" / "screenshots")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--widths", nargs="*", type=int, default=[360, 768, 1280])
    parser.add_argument("--schemes", nargs="*", default=["light", "dark"])
    parser.add_argument("--language", default="en")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with product() as (base, pages, sessions), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        for scheme in chosen.schemes:
            for width in chosen.widths:
                take(browser, base, pages, sessions, chosen, scheme, width)
        browser.close()
    return 0


def take(
    browser: Browser,
    base: str,
    pages: dict[str, str],
    sessions: dict[str, str],
    chosen: argparse.Namespace,
    scheme: str,
    width: int,
) -> None:
    """Take all pages at one width in one colour scheme."""
    wanted = {
        name: path
        for name, path in pages.items()
        if not chosen.only or name.startswith(tuple(chosen.only))
    }
    for person in (None, PATIENT, *filter(None, PEOPLE.values())):
        own = {name: path for name, path in wanted.items() if whose(name) == person}
        if not own:
            continue
        context = browser.new_context(
            viewport={"width": width, "height": 800 if width > 500 else 740},
            color_scheme="dark" if scheme == "dark" else "light",
            locale=chosen.language,
            reduced_motion="reduce",
        )
        page = context.new_page()
        if person is not None:
            if person in sessions:
                cookie = {"name": "sessionid", "value": sessions[person], "url": base}
                context.add_cookies([cookie])
            else:
                sign_in(page, base, person)
        for name, path in own.items():
            page.goto(base + path)
            page.wait_for_load_state("networkidle" if "running" not in name else "load")
            page.screenshot(
                path=chosen.out / f"{name}-{width}-{scheme}.png",
                full_page=True,
            )
            too_wide = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            if too_wide > 0:
                sys.stderr.write(f"{name} at {width}: {too_wide} px too wide\n")
        context.close()


def whose(name: str) -> str | None:
    """Return who opens the page of a picture; None for nobody."""
    return next((who for start, who in PEOPLE.items() if name.startswith(start)), PATIENT)


def sign_in(page: Page, base: str, email: str) -> None:
    """Sign in as one of the made-up people."""
    page.goto(base + "/accounts/login/")
    page.get_by_label("Email").or_(page.locator("input[name=login]")).first.fill(email)
    page.locator("input[type=password]").fill(PASSWORD)
    page.locator("main button[type=submit]").first.click()
    page.wait_for_url(lambda url: "/login/" not in url)


@contextmanager
def product() -> Iterator[tuple[str, dict[str, str], dict[str, str]]]:
    """Run the web server with every state in its database.

    Yields its address, the pages, and the sessions of who could sign in by a real device only.
    """
    home = Path(tempfile.mkdtemp(prefix="dermai-s-", dir="/tmp"))
    os.environ["DERMAI_HOME"] = str(home)
    os.environ["DJANGO_SETTINGS_MODULE"] = "dermai.settings"
    from dermai.private_redis import server_command

    children = [subprocess.Popen(server_command(home), stdout=subprocess.DEVNULL)]
    try:
        pages, sessions = prepare()
        port = free_port()
        children.append(
            subprocess.Popen(
                [
                    sys.executable, "-m", "gunicorn", "dermai.wsgi", "--bind", f"127.0.0.1:{port}",
                    "--threads", "4", "--log-level", "warning",
                ],
                cwd=ROOT,
            )
        )  # fmt: skip
        base = f"http://127.0.0.1:{port}"
        wait_for(base)
        yield base, pages, sessions
    finally:
        for child in reversed(children):
            child.terminate()
            child.wait()
        shutil.rmtree(home, ignore_errors=True)


def prepare() -> tuple[dict[str, str], dict[str, str]]:
    """Fill the database and collect the static files.

    Returns a path for each picture's name, and open sessions by e-mail address.
    """
    import django

    django.setup()
    from allauth.account.forms import default_token_generator
    from allauth.account.models import EmailAddress, EmailConfirmationHMAC
    from allauth.account.utils import user_pk_to_url_str
    from allauth.mfa.models import Authenticator
    from django.core.management import call_command
    from django.urls import reverse

    from accounts.care.models import CareRelationship
    from accounts.care.services import share
    from accounts.models import Role
    from accounts.recovery import services as recovery
    from analyses import images
    from analyses.models import Analysis
    from tests import images as drawn
    from tests.factories import make_user
    from tests.states import seed

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    person = make_user("ana", password=PASSWORD)
    doctor = make_user("bea", role=Role.DERMATOLOGIST, password=PASSWORD)
    admin = make_user("cleo", role=Role.ADMIN, password=PASSWORD)
    keyed = make_user("dora", password=PASSWORD)
    passkey = Authenticator.objects.create(
        user=keyed, type=Authenticator.Type.WEBAUTHN, data={"name": "My telephone"}
    )
    removal = recovery.ask(email=keyed.email, by=admin)
    address = EmailAddress.objects.create(user=person, email=person.email, primary=True)
    reset_key = default_token_generator.make_token(person)
    share(patient=person, reference=doctor.email, scope=CareRelationship.Scope.EVERYTHING)
    states = seed(person)
    held = states["result-held"]
    Analysis.objects.filter(pk=held.pk).update(
        image_key=images.keep(held.pk, np.asarray(drawn.lesion(held.width, held.height)))
    )
    lesion = states["result-melanoma"].lesion
    assert lesion is not None
    pages = {
        "out-home": reverse("home"),
        "out-login": reverse("account_login"),
        "out-signup": reverse("account_signup"),
        "out-reset": reverse("account_reset_password"),
        "out-mailed-reset": reverse(
            "account_reset_password_from_key",
            kwargs={"uidb36": user_pk_to_url_str(person), "key": reset_key},
        ),
        "out-mailed-confirmation": reverse(
            "account_confirm_email", args=[EmailConfirmationHMAC(address).key]
        ),
        "out-mailed-removal": recovery.link_of(removal),
        "out-mailed-removal-over": reverse("accounts:confirm_reset_by_mail", args=["no-such"]),
        "home": reverse("home"),
        "dashboard": reverse("analyses:dashboard"),
        "upload": reverse("analyses:upload"),
        "upload-human": reverse("analyses:upload") + "?hold=human_only",
        "history": reverse("analyses:list"),
        "history-compact": reverse("analyses:list") + "?density=compact",
        "history-none": reverse("analyses:list") + "?show=pending",
        "lesions": reverse("analyses:lesions"),
        "lesion": reverse("analyses:lesion", args=[lesion.pk]),
        "model": reverse("analyses:model"),
        "profile": reverse("accounts:profile"),
        "sharing": reverse("accounts:sharing"),
        "access-log": reverse("accounts:access_log"),
        "second-factor": reverse("mfa_index"),
        "second-factor-totp": reverse("mfa_activate_totp"),
        "second-factor-passkeys": reverse("mfa_list_webauthn"),
        "second-factor-passkey-add": reverse("mfa_add_webauthn"),
        "sessions": reverse("accounts:sessions"),
        "password": reverse("account_change_password"),
        "privacy": reverse("analyses:privacy"),
        "erase": reverse("analyses:erase"),
        "delete": reverse("analyses:delete", args=[states["result-benign"].pk]),
        "api-docs": reverse("api-docs"),
        "styleguide": reverse("styleguide"),
        "not-found": reverse("analyses:detail", args=[ABSENT]),
        "passkey-list": reverse("mfa_list_webauthn"),
        "passkey-rename": reverse("mfa_edit_webauthn", args=[passkey.pk]),
        "passkey-remove": reverse("mfa_remove_webauthn", args=[passkey.pk]),
        "doctor-patients": reverse("accounts:patients"),
        "doctor-worklist": reverse("analyses:worklist"),
        "doctor-history": reverse("analyses:list"),
        "doctor-result-blind": reverse("analyses:detail", args=[states["result-held"].pk]),
        "doctor-result": reverse("analyses:detail", args=[states["result-melanoma"].pk]),
        "doctor-second-factor": reverse("mfa_index"),
        "admin-home": reverse("admin:index"),
        "admin-people": reverse("admin:accounts_user_changelist"),
        "admin-resets": reverse("accounts:resets"),
        "admin-audit": reverse("accounts:audit"),
    }
    results = {
        name: reverse("analyses:detail", args=[analysis.pk]) for name, analysis in states.items()
    }
    return pages | results, {keyed.email: session_of(keyed)}


def session_of(user: User) -> str:
    """Open a session as if `user` had just shown a passkey, which no picture can do."""
    from allauth.account.internal.flows import login
    from django.test import Client

    user.refresh_from_db()
    client = Client()
    client.force_login(user)
    session = client.session
    # Later than any picture: the pages of factors ask anew after some minutes.
    shown = {"method": "mfa", "at": time.time() + LONG}
    session[login.AUTHENTICATION_METHODS_SESSION_KEY] = [shown]
    session[login._AUTHENTICATION_METHODS_USER_SESSION_KEY] = str(user.pk)
    session.save()
    return str(session.session_key)


def wait_for(base: str) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            urllib.request.urlopen(base + "/model/", timeout=20).close()  # noqa: S310 - our own address
        except OSError as error:
            if isinstance(error, HTTPError) or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    sys.exit(main())
