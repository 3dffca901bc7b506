"""Take pictures of every page in every state, at three widths, light and dark.

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
from urllib.error import HTTPError

from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.product import free_port

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or "/usr/bin/chromium"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
]
EMAIL, PASSWORD = "ana@example.org", "correct horse battery staple"
STARTS_WITHIN = 180  # s
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
    with product() as (base, pages), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        for scheme in chosen.schemes:
            for width in chosen.widths:
                take(browser, base, pages, chosen, scheme, width)
        browser.close()
    return 0


def take(
    browser: Browser,
    base: str,
    pages: dict[str, str],
    chosen: argparse.Namespace,
    scheme: str,
    width: int,
) -> None:
    """Take all pages at one width in one colour scheme."""
    context = browser.new_context(
        viewport={"width": width, "height": 800 if width > 500 else 740},
        color_scheme="dark" if scheme == "dark" else "light",
        locale=chosen.language,
        reduced_motion="reduce",
    )
    page = context.new_page()
    for signed_in in (False, True):
        if signed_in:
            sign_in(page, base)
        for name, path in pages.items():
            if name.startswith("out-") == signed_in:
                continue
            if chosen.only and not any(name.startswith(only) for only in chosen.only):
                continue
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


def sign_in(page: Page, base: str) -> None:
    """Sign in as the made-up patient."""
    page.goto(base + "/accounts/login/")
    page.get_by_label("Email").or_(page.locator("input[name=login]")).first.fill(EMAIL)
    page.locator("input[type=password]").fill(PASSWORD)
    page.locator("main button[type=submit]").first.click()
    page.wait_for_url("**/dashboard/")


@contextmanager
def product() -> Iterator[tuple[str, dict[str, str]]]:
    """Run the web server with every state in its database; yields its address and the pages."""
    home = Path(tempfile.mkdtemp(prefix="dermai-s-", dir="/tmp"))
    os.environ["DERMAI_HOME"] = str(home)
    os.environ["DJANGO_SETTINGS_MODULE"] = "dermai.settings"
    from dermai.private_redis import server_command

    children = [subprocess.Popen(server_command(home), stdout=subprocess.DEVNULL)]
    try:
        pages = prepare()
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
        yield base, pages
    finally:
        for child in reversed(children):
            child.terminate()
            child.wait()
        shutil.rmtree(home, ignore_errors=True)


def prepare() -> dict[str, str]:
    """Fill the database and collect the static files; returns a path for each picture's name."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.urls import reverse

    from accounts.models import User
    from tests.states import seed

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    person = User.objects.create_user(EMAIL, PASSWORD, name="Ana")
    states = seed(person)
    lesion = states["result-melanoma"].lesion
    assert lesion is not None
    pages = {
        "out-home": reverse("home"),
        "out-login": reverse("account_login"),
        "out-signup": reverse("account_signup"),
        "out-reset": reverse("account_reset_password"),
        "home": reverse("home"),
        "dashboard": reverse("analyses:dashboard"),
        "upload": reverse("analyses:upload"),
        "history": reverse("analyses:list"),
        "history-compact": reverse("analyses:list") + "?density=compact",
        "history-none": reverse("analyses:list") + "?show=pending",
        "lesions": reverse("analyses:lesions"),
        "lesion": reverse("analyses:lesion", args=[lesion.pk]),
        "model": reverse("analyses:model"),
        "profile": reverse("accounts:profile"),
        "styleguide": reverse("styleguide"),
        "not-found": reverse("analyses:detail", args=[ABSENT]),
    }
    return pages | {
        name: reverse("analyses:detail", args=[analysis.pk]) for name, analysis in states.items()
    }


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
