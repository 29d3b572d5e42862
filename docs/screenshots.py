"""Makes the README's pictures of the web app: the real app, in a real browser.

    python -m docs.screenshots

Needs Debian's chromium and the development packages. Fills a fresh home with the sample
collections, which takes a minute.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from benchmarks.served_app import served_app
from engine.settings import SAMPLE_PACK

_FOLDER = Path(__file__).parent
_SIZE = (1280, 900)
_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
_PICTURE = SAMPLE_PACK / "plain" / "images" / "351.webp"


def describe(page: Page) -> None:
    """A held-out picture and its description."""
    page.locator("input[type=file]").first.set_input_files(str(_PICTURE))
    page.get_by_role("button", name="Copy caption").wait_for()


def search(page: Page) -> None:
    """What two cats on the beach look like."""
    field = page.get_by_role("textbox", name="What to look for")
    field.fill("two cats on the beach")
    field.press("Enter")
    expect(page.get_by_role("status").filter(has_text="best first")).to_have_count(1)


def compare(page: Page) -> None:
    """Raw beside mapped on postcards, a look that the tiny CLIP never saw."""
    page.locator("[data-testid=stVegaLiteChart] :is(canvas, svg)").first.wait_for()


def collections(page: Page) -> None:
    """What there is."""
    page.get_by_role("listitem").filter(has_text="✓ Chosen").wait_for()


_PAGES: dict[str, tuple[str, Callable[[Page], None]]] = {
    "describe": ("/?collection=plain", describe),
    "search": ("/search?collection=plain", search),
    "compare": ("/compare?collection=postcards", compare),
    "collections": ("/collections?collection=postcards", collections),
}


def main() -> int:
    """Write one picture for each page."""
    browser_path = shutil.which("chromium")
    if browser_path is None:
        sys.exit("no chromium is installed (Debian: apt-get install chromium)")
    with (
        tempfile.TemporaryDirectory() as home,
        served_app(Path(home)) as app,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=browser_path, args=list(_FLAGS))
        page = browser.new_page(viewport={"width": _SIZE[0], "height": _SIZE[1]})
        page.set_default_timeout(60_000)
        for name, (path, prepare) in _PAGES.items():
            page.goto(app.address + path)
            page.get_by_role("heading", level=1).wait_for()
            prepare(page)
            page.locator("[data-test-script-state=notRunning]").wait_for()
            page.wait_for_timeout(1000)  # charts and pictures fade in
            shot = Image.open(BytesIO(page.screenshot())).convert("RGB")
            shot.save(_FOLDER / f"{name}.webp", quality=85, method=6)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
