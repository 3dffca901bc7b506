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
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError

from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.pictured import HOSPITAL, NEW, PASSWORD, PATIENT, PEOPLE, Pictured, prepare
from tests.e2e.product import free_port
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, serving

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or "/usr/bin/chromium"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
]
STARTS_WITHIN = 180  # s
MORE_THAN_A_MINUTES_ASKS = 60


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
    rounds = [(scheme, width) for scheme in chosen.schemes for width in chosen.widths]
    with product(len(rounds)) as (base, pictured), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        for scheme, width in rounds:
            take(browser, base, pictured, chosen, scheme, width)
        browser.close()
    return 0


def take(
    browser: Browser,
    base: str,
    pictured: Pictured,
    chosen: argparse.Namespace,
    scheme: str,
    width: int,
) -> None:
    """Take all pages at one width in one colour scheme."""
    wanted = {
        name: path
        for name, path in pictured.pages.items()
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
            if person in pictured.sessions:
                cookie = {"name": "sessionid", "value": pictured.sessions[person], "url": base}
                context.add_cookies([cookie])
            elif person == NEW:
                sign_in_there(page, base)
            else:
                sign_in(page, base, person)
        for name, path in own.items():
            page.goto(base + path)
            if name in pictured.once:
                page.goto(base + pictured.once[name].pop())
                page.locator("main button[type=submit]").click()
            if name in DONE_FIRST:
                DONE_FIRST[name](page)
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


def sign_in_there(page: Page, base: str) -> None:
    """Sign in through the hospital as somebody who has no account here yet."""
    page.goto(base + "/accounts/login/")
    page.get_by_role("button", name=HOSPITAL).click()
    page.wait_for_url("**/sign-up/")


def stay_on_the_way(page: Page) -> None:
    """Set off for the hospital, and do not arrive: what stands there in between."""
    page.route("**/realm/**", lambda route: route.abort("aborted"))
    page.get_by_role("button", name=HOSPITAL).click()
    page.wait_for_url("**/accounts/hospital/")


def ask_too_often(page: Page) -> None:
    """Ask for mails to change a password until no more are sent from here."""
    asking = page.url
    for _ in range(MORE_THAN_A_MINUTES_ASKS):
        page.goto(asking)
        page.locator("input[type=email]").fill("nobody@example.org")
        with page.expect_navigation() as answer:
            page.locator("main button[type=submit]").click()
        if answer.value and answer.value.status == HTTPStatus.TOO_MANY_REQUESTS:
            return
    raise AssertionError("asked and asked, and was never told to wait")


DONE_FIRST = {"out-hospital-going": stay_on_the_way, "out-too-many": ask_too_often}
"""What is done on a page, before its picture."""


@contextmanager
def product(rounds: int) -> Iterator[tuple[str, Pictured]]:
    """Run the web server, with every state in its database, beside a hospital's provider.

    Yields its address and what there is to take pictures of, `rounds` times.
    """
    home = Path(tempfile.mkdtemp(prefix="dermai-s-", dir="/tmp"))
    os.environ["DERMAI_HOME"] = str(home)
    os.environ["DJANGO_SETTINGS_MODULE"] = "dermai.settings"
    from dermai.private_redis import server_command

    children = [subprocess.Popen(server_command(home), stdout=subprocess.DEVNULL)]
    hospital = ExitStack()
    try:
        provider = hospital.enter_context(serving())
        provider.person = {"sub": "77", "email": NEW, "email_verified": True, "name": "Eve"}
        os.environ |= {
            "OIDC_ISSUER": provider.issuer,
            "OIDC_CLIENT_ID": CLIENT_ID,
            "OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "OIDC_NAME": HOSPITAL,
            "OIDC_SIGNUP": "patients",
        }
        pictured = prepare(rounds)
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
        yield base, pictured
    finally:
        hospital.close()
        for child in reversed(children):
            child.terminate()
            child.wait()
        shutil.rmtree(home, ignore_errors=True)


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
