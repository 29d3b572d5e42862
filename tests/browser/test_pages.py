"""Every page in a real browser: on a phone, in the dark, for people who cannot see it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PHONE, OpenApp, choose, settle, until

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
BRIGHTNESS = (
    "Number(getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
    ".match(/\\d+/)[0])"
)
"""Of the page's background: how red it is, from 0 to 255."""

PAGES = (
    "/",
    "/?present=1",
    "/search",
    "/search?q=two+cats+ext:webp",
    "/ask?ask=is+there+a+truck",
    "/compare",
    "/duplicates",
    "/collections",
    "/system",
)


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_needs_no_sideways_scrolling(open_app: OpenApp, path: str) -> None:
    page = open_app(path, size=PHONE)
    widths = page.evaluate(
        "[document.documentElement.scrollWidth, ...[...document.querySelectorAll("
        "'[data-testid=stMain]')].map(part => part.scrollWidth)]"
    )
    assert max(widths) <= PHONE[0]


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not there: npm ci in tests/browser")
@pytest.mark.parametrize("path", PAGES)
def test_nothing_serious_bars_people_who_use_assistive_technology(
    open_app: OpenApp, path: str
) -> None:
    page = open_app(path)
    if "ext:" in path:  # what is chosen stands in the panel, too
        page.get_by_test_id("stMultiSelectTagsContainer").get_by_text("webp").wait_for()
    settle(page)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert grave(page) == []
    page.emulate_media(color_scheme="dark")
    until(page, f"{BRIGHTNESS} < 80")
    settle(page)
    assert grave(page) == []


def grave(page: Page) -> list[str]:
    """What axe-core finds that is serious or worse."""
    found: list[dict[str, Any]] = page.evaluate("axe.run().then(result => result.violations)")
    return [
        f"{one['id']}: {[(node['failureSummary'], node['html'][:200]) for node in one['nodes']]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]


def test_raw_is_shown_beside_mapped(open_app: OpenApp) -> None:
    page = open_app("/compare")
    raw = page.get_by_role("heading", name=re.compile("^By plain CLIP"))
    mapped = page.get_by_role("heading", name=re.compile("^By meaning"))
    expect(raw).to_be_visible()
    expect(mapped).to_be_visible()
    # In one look: what stands above may still go, and moves both.
    places = (
        "all => all.map(one => one.getBoundingClientRect()).map(at => [at.left, at.right, at.top])"
    )
    left, right = raw.or_(mapped).evaluate_all(places)
    assert left[1] < right[0]
    assert abs(left[2] - right[2]) < 10


def test_the_pages_are_reached_by_keyboard(open_app: OpenApp) -> None:
    page = open_app()
    link = page.get_by_role("link", name="Search", exact=True)
    for _ in range(60):
        page.keyboard.press("Tab")
        if link.evaluate("link => link === document.activeElement"):
            break
    expect(link).to_have_css("outline-style", "solid")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Search pictures")


def test_a_phone_shows_the_page_first_and_a_menu_that_gives_way(
    chromium: Browser, address: str
) -> None:
    context = chromium.new_context(
        viewport={"width": PHONE[0], "height": PHONE[1]}, user_agent="Mozilla/5.0 (iPhone) Mobile"
    )
    page = context.new_page()
    page.goto(address)
    menu, side = page.get_by_test_id("stExpandSidebarButton"), page.get_by_test_id("stSidebar")
    expect(side).to_have_attribute("data-collapsed", "true")
    menu.click()
    page.get_by_role("link", name="Search").click()
    until(
        page,
        "getComputedStyle(document.querySelector('[data-testid=stExpandSidebarButton]'), '::after')"
        ".content.includes('Menu')",
    )
    expect(page).to_have_title("Search · mRAG")
    expect(side).to_have_attribute("data-collapsed", "true")
    context.close()


def test_an_unknown_collection_in_the_address_is_told_with_a_remedy(open_app: OpenApp) -> None:
    page = open_app("/search?collection=nothing-here")
    told = page.get_by_test_id("stAlert")
    expect(told).to_contain_text("There is no collection “nothing-here”")
    expect(told).to_contain_text("Choose another one: plain, postcards.")
    expect(page.get_by_role("combobox", name="Collection")).to_have_value("plain")
    expect(page.get_by_text("Traceback")).to_have_count(0)


def test_the_address_names_the_collection_from_page_to_page_and_back(open_app: OpenApp) -> None:
    page = open_app()
    chosen = page.get_by_role("combobox", name="Collection")
    expect(page).to_have_url(re.compile(r"/\?collection=plain$"))
    choose(page, "postcards")
    expect(page).to_have_url(re.compile(r"/\?collection=postcards$"))
    page.get_by_role("link", name="System").click()
    expect(page).to_have_url(re.compile(r"/system\?collection=postcards$"))
    choose(page, "plain")
    expect(page).to_have_url(re.compile(r"/system\?collection=plain$"))
    page.go_back()
    expect(page).to_have_url(re.compile(r"/\?collection=postcards$"))
    expect(chosen).to_have_value("postcards")


def test_a_narrow_window_closes_its_menu_once_it_was_used(open_app: OpenApp) -> None:
    page = open_app("/system", size=PHONE)
    menu, side = page.get_by_test_id("stExpandSidebarButton"), page.get_by_test_id("stSidebar")
    menu.click()
    expect(side).to_have_attribute("data-collapsed", "false")
    side.get_by_role("link", name="Collections").click()
    expect(page).to_have_title("Collections · mRAG")
    expect(side).to_have_attribute("data-collapsed", "true")
    menu.click()
    choose(page, "postcards")
    expect(side).to_have_attribute("data-collapsed", "true")
