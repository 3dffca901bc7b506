"""Record a patient's way through the running product, and its result, as the README's pictures.

`python -m tests.e2e.recording [--out docs/images]` starts the whole product in a
temporary home, with the model that it ships; the person and the lesion are made up.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import APIRequestContext, Page, sync_playwright
from tqdm import tqdm

from tests import images
from tests.e2e.conftest import ARGUMENTS, CHROMIUM
from tests.e2e.product import ROOT, running

SIZE: Final = {"width": 960, "height": 720}
PASSWORD: Final = "correct horse battery staple"
QUALITY: Final = 60
LOOK: Final = 2200  # ms that a page stands still
GLANCE: Final = 350  # ms of a picture within a movement
ENDS_WITHIN: Final = 300  # s
SCROLLED: Final = 240  # px a picture
COLOURS: Final = 256
STILL: Final = {"width": 1280, "height": 1330}


@dataclass(slots=True)
class Film:
    """What has been seen of `page`: pictures, and how long each stands, in ms."""

    page: Page
    pictures: list[Image.Image] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def take(self, milliseconds: int = LOOK) -> None:
        """Take a picture; one like the last only makes that stand longer."""
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        if self.pictures and picture.tobytes() == self.pictures[-1].tobytes():
            self.times[-1] += milliseconds
            return
        self.pictures.append(picture)
        self.times.append(milliseconds)

    def scroll(self) -> None:
        """Move to the end of the page and look around on the way."""
        height = self.page.evaluate("document.documentElement.scrollHeight - innerHeight")
        for top in range(0, int(height) + SCROLLED, SCROLLED):
            self.page.evaluate("top => scrollTo({top, behavior: 'instant'})", top)
            self.take(GLANCE)
        self.take()

    def write(self, path: Path) -> None:
        """Write an animated WebP that repeats for ever."""
        path.parent.mkdir(parents=True, exist_ok=True)
        first, *others = self.pictures
        first.save(
            path,
            save_all=True,
            append_images=others,
            duration=self.times,
            loop=0,
            quality=QUALITY,
            method=4,
        )


def main() -> int:
    """Record; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    chosen = parser.parse_args()
    with running() as product, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = browser.new_context(base_url=product.base, viewport=SIZE, locale="en-GB")  # type: ignore[arg-type]
        context.set_default_timeout(1000 * ENDS_WITHIN)
        photo = product.home / "left-shoulder.jpg"
        photo.write_bytes(images.encode(images.lesion(800, 600, seed=7, hair=3)))
        _wait_for_the_model(context.request)
        film = Film(context.new_page())
        for scene in tqdm((_arrive, lambda film: _send(film, photo), _read), unit="scene"):
            scene(film)
        film.write(chosen.out / "tour.webp")
        film.page.go_back()
        film.page.set_viewport_size(STILL)  # type: ignore[arg-type]
        film.page.locator(".viewer__image").wait_for()
        film.page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
        still = Image.open(io.BytesIO(film.page.screenshot())).convert("RGB")
        still.quantize(COLOURS).save(chosen.out / "result.png", optimize=True)
        browser.close()
    sys.stdout.write(f"{len(film.pictures)} pictures in {chosen.out / 'tour.webp'}\n")
    return 0


def _wait_for_the_model(request: APIRequestContext) -> None:
    """Wait until a worker has converted its bundle, which nobody wants to watch."""
    deadline = time.monotonic() + ENDS_WITHIN
    while not request.get("/readyz").ok:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no worker had its model ready within {ENDS_WITHIN} s")
        time.sleep(1)


def _arrive(film: Film) -> None:
    """See what it is, and make an account."""
    film.page.goto("/")
    film.take()
    film.page.goto("/accounts/signup/")
    film.page.locator("input[type=email]").fill("ana@example.org")
    film.page.locator("input[type=password]").fill(PASSWORD)
    film.page.locator("main input[type=checkbox]").check()
    film.take()
    film.page.locator("main form button[type=submit]").click()
    film.page.wait_for_url("**/dashboard/")
    film.take()


def _send(film: Film, photo: Path) -> None:
    """Choose a photo, send it, and watch it being analysed."""
    film.page.goto("/analyses/new/")
    # A drawn photo is unlike those that a dermatoscope takes, and would be refused as one of them.
    film.page.get_by_label("With a phone or camera only").check()
    film.take()
    film.page.locator("#id_image").set_input_files(str(photo))
    film.page.get_by_text("Ready to send").wait_for()
    film.page.locator(".file__picture img").scroll_into_view_if_needed()
    film.take()
    film.page.get_by_role("button", name=re.compile("^Send")).click()
    film.page.wait_for_url(re.compile(r"/analyses/[0-9a-f-]{36}/$"))
    deadline = time.monotonic() + ENDS_WITHIN
    ended = film.page.locator("[data-analysis-status]")
    while not ended.count():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the analysis did not end within {ENDS_WITHIN} s")
        film.take(GLANCE)
    if (status := ended.get_attribute("data-analysis-status")) != "COMPLETED":
        raise RuntimeError(f"there is no result to record: the analysis ended as {status}")


def _read(film: Film) -> None:
    """Read the result, lay the heat map over the own copy, and see the history."""
    film.page.locator(".viewer__image").wait_for()
    film.take()
    strength = film.page.get_by_label("Heat map")
    for value in ("30", "60", "0"):
        strength.fill(value)
        film.take(2 * GLANCE)
    film.scroll()
    film.page.goto("/analyses/")
    film.take()


if __name__ == "__main__":
    sys.exit(main())
