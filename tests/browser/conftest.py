"""The app as a visitor meets it: served by the real command, seen in a real browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

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
)
DESKTOP, PHONE = (1280, 800), (390, 844)

PATIENCE_MS = 30_000

OpenApp = Callable[..., Page]
expect.set_options(timeout=PATIENCE_MS)


def environment(home: Path) -> dict[str, str]:
    """What a process over `home` with the sample models is started with."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MRAG_")}
    # One thread: beside a browser and a server, more of them wait for each other.
    given = {"MRAG_HOME": str(home), "MRAG_PROFILE": "sample", "OMP_NUM_THREADS": "1"}
    return {**kept, **given, "HF_HUB_OFFLINE": "1"}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def ingest(home: Path, source: Path, name: str, *options: str) -> None:
    """Fill a collection with the real command."""
    command = [sys.executable, "-m", "mrag", "ingest", str(source), "-c", name, *options]
    subprocess.run(command, cwd=ROOT, env=environment(home), check=True, capture_output=True)


@contextmanager
def served(home: Path, log: Path) -> Iterator[str]:
    """`mrag app` over a home, at the address it answers at."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "mrag", "app", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=home, env=environment(home), stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _wait_for(address, process, log)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{address}/_stcore/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(f"the app did not start: {log.read_text(errors='replace')}")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with 80 `plain` pictures and 40 `postcards`."""
    made = tmp_path_factory.mktemp("browser-home")
    for name, count in (("plain", 80), ("postcards", 40)):
        table = PACK / name / "captions.jsonl"
        ingest(made, table, name, "--split", "train", "--limit", str(count))
    return made


@pytest.fixture(scope="session")
def address(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the app over `home` answers."""
    with served(home, tmp_path_factory.mktemp("log") / "app.log") as found:
        yield found


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's chromium: Playwright's own download is not needed."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium is installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def open_app(chromium: Browser, address: str) -> Iterator[OpenApp]:
    """Opens a path of the app in a fresh browser profile."""
    with ExitStack() as stack:

        def opened(
            path: str = "/",
            *,
            size: tuple[int, int] = DESKTOP,
            dark: bool = False,
            at: str = address,
        ) -> Page:
            context = chromium.new_context(
                viewport={"width": size[0], "height": size[1]},
                color_scheme="dark" if dark else "light",
                permissions=["clipboard-read", "clipboard-write"],
            )
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.goto(at + path)
            page.get_by_role("heading", level=1).wait_for()
            return page

        yield opened
