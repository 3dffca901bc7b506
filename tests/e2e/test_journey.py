"""A patient's way through the running product, in a real browser."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import images

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page

    from tests.e2e.product import Product

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PASSWORD = "correct horse battery staple"
ENDS_WITHIN = 290_000  # ms, to the end state; on a loaded machine the model takes minutes to load
ENDED = "[data-analysis-status]"
WIDTHS = (360, 768, 1280)
_people = itertools.count(1)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Draw a lesion."""
    path = tmp_path / "lesion.jpg"
    path.write_bytes(images.jpeg(640, 480, seed=5))
    return path


def sign_up(page: Page) -> str:
    """Create an account; ends on the overview."""
    email = f"ana{next(_people)}.{id(page)}@example.org"
    page.goto("/accounts/signup/")
    page.locator("input[type=email]").fill(email)
    page.locator("input[type=password]").fill(PASSWORD)
    page.locator("main input[type=checkbox]").check()
    page.locator("main form button[type=submit]").click()
    page.wait_for_url("**/dashboard/")
    return email


def choose(page: Page, *paths: Path) -> None:
    """Open the upload page and choose files, as an ordinary photo: never refused as unlike."""
    page.goto("/analyses/new/")
    page.get_by_label("With a phone or camera only").check()
    page.locator("#id_image").set_input_files([str(path) for path in paths])


def send(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Send")).click()


def ended(page: Page) -> Locator:
    """Wait for the end state without touching the page."""
    page.locator(ENDED).wait_for(timeout=ENDS_WITHIN)
    return page.locator(ENDED)


def look_until_deleted(page: Page) -> None:
    """Load the page again until it tells of the deletion, which follows the result's commit."""
    deleted = page.get_by_text("Our copy was deleted on")
    deadline = time.monotonic() + ENDS_WITHIN / 1000
    while not deleted.count() and time.monotonic() < deadline:
        page.wait_for_timeout(200)
        page.reload()


def test_a_patient_sends_a_photo_and_reads_what_came_of_it(page: Page, photo: Path) -> None:
    sign_up(page)
    page.get_by_role("link", name="Send the first photo").click()
    choose(page, photo)
    page.get_by_text("Ready to send").wait_for()
    assert page.locator(".file__picture img").is_visible()
    assert page.get_by_text("Check before sending").is_visible()
    send(page)

    page.wait_for_url(re.compile(r"/analyses/[0-9a-f-]{36}/$"))
    address = page.url
    article = ended(page)

    assert article.get_attribute("data-analysis-status") == "COMPLETED"
    assert "The computer cannot tell" in page.locator("h1").inner_text()
    assert page.url == address
    shown = page.locator(".viewer__image")
    shown.wait_for()
    assert (shown.get_attribute("src") or "").startswith("blob:")
    strength = page.get_by_label("Heat map")
    assert strength.input_value() == "0"
    strength.fill("60")
    assert page.locator(".viewer__heat").get_attribute("opacity") == "0.6"
    look_until_deleted(page)
    page.get_by_text("What became of the photo").click()
    assert page.get_by_text("Our copy was deleted on").is_visible()

    page.get_by_role("link", name="History").first.click()
    page.get_by_role("table").get_by_text("Cannot tell").wait_for()

    page.get_by_text("Account", exact=True).locator("xpath=..").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in").first.wait_for()
    page.wait_for_function("() => indexedDB.databases().then(found => found.length === 0)")
    page.goto(address)
    assert "/accounts/login/" in page.url


def test_the_own_copy_is_matched_by_its_contents(page: Page, photo: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jpg"
    other.write_bytes(images.jpeg(640, 480, seed=9))
    sign_up(page)
    choose(page, photo)
    send(page)
    ended(page)
    page.get_by_role("button", name="Remove it now").click()
    page.locator(".viewer__photo").wait_for(state="hidden")

    page.locator("#own-copy").set_input_files(str(other))
    page.get_by_text("That is another photo").wait_for()
    assert page.locator(".viewer__photo").is_hidden()

    page.locator("#own-copy").set_input_files(str(photo))
    page.locator(".viewer__image").wait_for()
    page.reload()
    page.locator(".viewer__image").wait_for()


def test_in_a_batch_one_bad_file_fails_alone(page: Page, photo: Path, tmp_path: Path) -> None:
    second, bad = tmp_path / "second.png", tmp_path / "bad.jpg"
    second.write_bytes(images.encode(images.lesion(seed=2), "PNG"))
    bad.write_bytes(b"\xff\xd8\xff" + b"no picture" * 20)
    sign_up(page)
    choose(page, photo, bad, second)

    send(page)

    rows = page.locator(".file")
    page.locator('.file[data-state="accepted"]').nth(1).wait_for()
    page.locator('.file[data-state="refused"]').wait_for()
    assert [rows.nth(n).get_attribute("data-state") for n in range(3)] == [
        "accepted",
        "refused",
        "accepted",
    ]
    assert "Not taken." in rows.nth(1).inner_text()
    page.goto("/analyses/")
    assert page.get_by_role("row").count() == 3


def test_without_a_connection_nothing_is_lost(
    page: Page, context: BrowserContext, photo: Path
) -> None:
    sign_up(page)
    choose(page, photo)
    context.set_offline(True)
    send(page)
    page.locator(".file").get_by_text("there is no connection").wait_for()

    context.set_offline(False)
    send(page)

    page.wait_for_url(re.compile(r"/analyses/[0-9a-f-]{36}/$"))


def test_without_scripts_a_photo_is_sent_and_its_result_found(
    chromium: Browser, product: Product, photo: Path
) -> None:
    context = chromium.new_context(base_url=product.base, java_script_enabled=False)
    page = context.new_page()
    sign_up(page)
    page.goto("/analyses/new/")
    assert page.locator("#id_image").is_visible()
    page.get_by_label("With a phone or camera only").check()
    page.locator("#id_image").set_input_files(str(photo))
    send(page)

    page.wait_for_url(re.compile(r"/analyses/[0-9a-f-]{36}/$"))
    for _look in range(ENDS_WITHIN // 1000):
        page.wait_for_load_state()
        if page.locator(ENDED).count():
            break
        page.wait_for_timeout(1000)
        page.get_by_role("link", name="Look again").click()

    assert page.locator(ENDED).get_attribute("data-analysis-status") == "COMPLETED"
    context.close()


@pytest.mark.parametrize("scripts", [True, False])
def test_the_button_says_who_will_look_at_the_photo(
    chromium: Browser, product: Product, photo: Path, scripts: bool
) -> None:
    context = chromium.new_context(base_url=product.base, java_script_enabled=scripts)
    page = context.new_page()
    sign_up(page)
    page.goto("/analyses/new/")
    assert page.locator("[data-send]").inner_text() == "Send for analysis"

    page.locator("[name=hold_kind][value=human_only]").check()

    assert page.locator("[data-send]").inner_text() == "Send to a human"
    assert page.get_by_role("button", name="Send to a human", exact=True).is_visible()
    if scripts:
        page.locator("#id_image").set_input_files([str(photo), str(photo)])
        assert page.locator("[data-send]").inner_text() == "Send all to a human"
    page.goto("/analyses/new/?hold=human_only")
    assert page.locator("[data-send]").inner_text() == "Send to a human"
    context.close()


def test_the_keyboard_alone_suffices(page: Page, photo: Path) -> None:
    email = sign_up(page)
    page.context.clear_cookies()
    page.goto("/accounts/login/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    tab_to(page, "input[type=email], input[name=login]")
    page.keyboard.type(email)
    tab_to(page, "input[type=password]")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard/")

    page.goto("/analyses/new/")
    page.locator("#id_image").set_input_files(str(photo))
    tab_to(page, "[name=image_type]")
    page.keyboard.press("ArrowDown")
    tab_to(page, "[data-send]")
    page.keyboard.press("Enter")

    page.wait_for_url(re.compile(r"/analyses/[0-9a-f-]{36}/$"))


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the focus is there; each stop on the way must be seen."""
    for _press in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
        assert page.evaluate(SEEN), page.evaluate("document.activeElement.outerHTML")
    raise AssertionError(f"Tab never reaches {selector}")


SEEN = """() => {
  const focused = document.activeElement;
  const around = [focused, focused.nextElementSibling, focused.closest(".choice")];
  return focused === document.body
    || around.some((e) => e && getComputedStyle(e).outlineStyle !== "none");
}"""
SMALL_TARGETS = """() => [...document.querySelectorAll("a, button, input, select, summary")]
  .filter((e) => e.checkVisibility({ opacityProperty: true }) && !e.closest("p, li, dd, td"))
  .map((e) => [e.outerHTML.slice(0, 120), e.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.width < 24 || box.height < 24))
  .map(([html]) => html)"""


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_fit_their_screen_and_targets_are_large_enough(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    paths = ["/", "/accounts/login/", "/accounts/signup/", "/model/", "/styleguide/"]
    for path in paths:
        page.goto(path)
        check_layout(page, path)
    sign_up(page)
    for path in ("/dashboard/", "/analyses/new/", "/analyses/", "/lesions/"):
        page.goto(path)
        check_layout(page, path)


def check_layout(page: Page, path: str) -> None:
    beyond = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert beyond <= 0, f"{path} is {beyond} px too wide"
    assert page.evaluate(SMALL_TARGETS) == [], path
