"""The app as a visitor meets it: served by the real command, seen in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from benchmarks.served_app import served_app
from corpus.records import Record
from engine.app import build_engine
from engine.settings import Settings
from ingest import filling
from ingest.readers import open_source

ROOT = Path(__file__).parents[2]
PACK = ROOT / "sample" / "pack"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
"""The last two are a camera that films a test picture, and nobody who has to allow it."""
DESKTOP, PHONE = (1280, 800), (390, 844)

PATIENCE_MS = 120_000
"""For a page of an app whose models are loaded: a bound for what hangs, on a busy machine too."""

READY_MS = 300_000

STORED = "cookies,local_storage,indexeddb,service_workers"
"""What a visitor leaves in a browser, but for its cache."""

OpenApp = Callable[..., Page]
expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try a browser's test once more where it fails, which the run's last line counts as a rerun.

    What is drawn when is not all ours: pages are drawn anew by Streamlit while they are looked at.
    """
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.flaky(reruns=1))


def fill(home: Path, name: str, records: Iterable[Record]) -> None:
    """Bring records into a collection, with the sample models."""
    engine = build_engine(Settings(home=home, profile="sample", device="cpu"))
    filling.fill(engine, records, name, models=filling.specs(engine, name))
    engine.close()


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with 80 `plain` pictures and 40 `postcards`."""
    made = tmp_path_factory.mktemp("browser-home")
    for name, count in (("plain", 80), ("postcards", 40)):
        table = PACK / name / "captions.jsonl"
        fill(made, name, open_source(table, split=frozenset(("train",)), limit=count))
    return made


STILL = (
    "document.querySelector('[data-testid=stApp][data-test-script-state=notRunning]')"
    " && !document.querySelector('[data-stale=true]')"
    " && document.getAnimations().every(one => one.playState !== 'running'"
    " || one.effect.getComputedTiming().endTime === Infinity)"
)
"""The run is over, nothing waits to be drawn anew, and nothing fades in or out any more."""


def until(page: Page, expression: str) -> None:
    """Wait until a JavaScript expression holds; Playwright's own way is stopped by our policy."""
    page.evaluate(
        f"""async () => {{
            const end = performance.now() + {PATIENCE_MS};
            while (!({expression})) {{
                if (performance.now() > end) throw new Error("it never came to be");
                await new Promise(requestAnimationFrame);
            }}
        }}"""
    )


def settle(page: Page) -> None:
    """Wait until the page has finished its run, and shows all of it in its colours."""
    until(page, STILL)


def choose(page: Page, collection: str) -> None:
    """Choose a collection; by key, as a list that was clicked closes where the page still moves."""
    settle(page)
    page.get_by_role("combobox", name="Collection").press("ArrowDown")
    page.get_by_role("option", name=collection).click()


def await_models(browser: Browser, address: str) -> None:
    """Have the app describe a picture of its own: from then on it has loaded what it needs."""
    page = browser.new_page()
    page.set_default_timeout(READY_MS)
    page.goto(address)
    page.locator("ul.strip button").first.click()
    page.get_by_role("button", name="Copy caption").wait_for()
    page.close()


@pytest.fixture(scope="package")
def address(home: Path, chromium: Browser) -> Iterator[str]:
    """Where the app over `home` answers, ready to."""
    with served_app(home) as app:
        await_models(chromium, app.address)
        yield app.address


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Debian's chromium: Playwright's own download is not needed."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium is installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def profile(chromium: Browser) -> Iterator[BrowserContext]:
    """A profile that keeps what the app's scripts were compiled to: a third of a page's time."""
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    yield context
    context.close()


def forget(page: Page) -> None:
    """Leave the profile as nobody had used it, but for what is the same for everybody."""
    session = page.context.new_cdp_session(page)
    origin = page.evaluate("location.origin")
    session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": STORED})
    page.close()


@pytest.fixture
def open_app(profile: BrowserContext, address: str) -> Iterator[OpenApp]:
    """Opens a path of the app for somebody new; it loads nothing that it may not.

    The page has come to rest: what is typed or clicked earlier may be drawn anew meanwhile.
    """
    refused: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            refused.append(message.text)

    with ExitStack() as stack:

        def opened(path: str = "/", *, size: tuple[int, int] = DESKTOP) -> Page:
            page = profile.new_page()
            stack.callback(forget, page)
            page.set_viewport_size({"width": size[0], "height": size[1]})
            page.on("console", heard)
            page.set_default_timeout(PATIENCE_MS)
            page.goto(address + path)
            page.get_by_role("heading", level=1).wait_for()
            settle(page)
            return page

        yield opened
    assert not refused
