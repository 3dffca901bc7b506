"""A browser that notices what goes wrong behind the page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.e2e.product import Product, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = os.environ.get("CHROMIUM") or "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
]
# A refused file is answered 422; the browser notes that on its console, and it is no fault.
EXPECTED = "status of 422"


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    """Run the product once for all tests of a module."""
    with running() as found:
        yield found


@pytest.fixture(scope="module")
def chromium(product: Product) -> Iterator[Browser]:
    """Start one browser for all tests of a module."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser, product: Product) -> Iterator[BrowserContext]:
    """Open a private window; its cookies and storage end with the test."""
    found = chromium.new_context(base_url=product.base, locale="en-GB")
    found.set_default_timeout(60_000)
    yield found
    found.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """Open a page; an error on its console, a CSP violation among them, fails the test."""
    found = context.new_page()
    complaints: list[str] = []
    found.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    found.on("pageerror", lambda error: complaints.append(str(error)))
    yield found
    faults = [text for text in complaints if EXPECTED not in text and "ERR_INTERNET" not in text]
    assert not faults, faults
