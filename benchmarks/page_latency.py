"""How long a visitor waits in a real browser: from Enter to pictures, from upload to description.

    python -m benchmarks.page_latency
    python -m benchmarks.page_latency --home FOLDER --times 30

Needs Debian's chromium. Starts the app over the sample collections (made first unless --home
names a folder that has them) and clicks through it on a warm app; each wait ends at the first
frame that shows the answer. Prints the median and the 95th percentile.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from benchmarks.served_app import served_app
from engine.settings import SAMPLE_PACK

_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
_WARM_UP = 3
_CHANGED = """([selector, before]) => {
    const find = (root) => {
        for (const one of root.querySelectorAll("*")) {
            const found = one.matches(selector) ? one : one.shadowRoot && find(one.shadowRoot);
            if (found) return found;
        }
    };
    const now = find(document)?.textContent;
    return now !== undefined && now !== before && now;
}"""
"""The text of the first element that matches, in shadow roots too, once it is another one."""


def waited(page: Page, act: Callable[[], None], selector: str, before: str) -> tuple[float, str]:
    """Milliseconds from an action until an element has another text, and that text."""
    started = time.perf_counter()
    act()
    shown = page.wait_for_function(_CHANGED, arg=[selector, before], polling="raf")
    return 1000 * (time.perf_counter() - started), str(shown.json_value())


def searches(page: Page, times: int) -> list[float]:
    """From Enter to the pictures of a new search, each far from the one before."""
    field = page.get_by_role("textbox", name="What to look for")
    spent, shown = [], ""
    for number in range(times + _WARM_UP):
        field.fill(f"{('a cat', 'a guitar', 'three lemons', 'a whale')[number % 4]} {number}")
        took, shown = waited(page, lambda: field.press("Enter"), "li .text", shown)
        spent.append(took)
    return spent[_WARM_UP:]


def descriptions(page: Page, times: int) -> list[float]:
    """From giving a file to its description; every file is another one."""
    uploader = page.locator("input[type=file]").first
    images = sorted((SAMPLE_PACK / "plain" / "images").glob("*.webp"))
    spent, shown = [], ""
    for image in images[-(times + _WARM_UP) :]:
        give = partial(uploader.set_input_files, str(image))
        took, shown = waited(page, give, "p.note", shown)  # the note names the file
        spent.append(took)
    return spent[_WARM_UP:]


_WAITS: dict[str, tuple[str, Callable[[Page, int], list[float]]]] = {
    "search, Enter to pictures": ("/search?collection=plain", searches),
    "description, upload to caption": ("/?collection=plain", descriptions),
}


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--home", type=Path, help="folder of collections to use")
    parser.add_argument("--times", type=int, default=30)
    options = parser.parse_args()
    path = shutil.which("chromium")
    if path is None:
        sys.exit("no chromium is installed (Debian: apt-get install chromium)")
    print("| wait | times | p50 ms | p95 ms |\n| --- | --- | --- | --- |")
    with (
        tempfile.TemporaryDirectory() as folder,
        served_app(options.home or Path(folder)) as app,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        for name, (place, measure) in _WAITS.items():
            # Playwright evaluates text in the page, which our policy forbids.
            page = browser.new_page(bypass_csp=True)
            page.set_default_timeout(60_000)
            page.goto(app.address + place)
            page.get_by_role("heading", level=1).wait_for()
            p50, p95 = np.percentile(measure(page, options.times), [50, 95])
            print(f"| {name} | {options.times} | {p50:.0f} | {p95:.0f} |")
            page.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
