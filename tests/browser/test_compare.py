"""The page Compare in a real browser: what it opens with, and what a click in a ranking does."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenApp

ASKED = ".asked img"


def asked_picture(page: Page) -> str:
    """The picture that is asked about, as its bytes."""
    return page.locator(ASKED).get_attribute("src") or ""


def test_the_page_leads_with_its_figure_and_a_ranking(open_app: OpenApp) -> None:
    page = open_app("/compare?collection=postcards")
    expect(page.get_by_role("heading", level=2).first).to_have_text(
        re.compile(r"^\d+ % of pictures find their own caption first")
    )
    expect(page.locator("ol.mapped > li")).to_have_count(5)
    expect(page.locator(".verdict")).not_to_be_empty()
    expect(page.get_by_role("heading", name="The gap between pictures and words")).to_be_visible()


def test_a_found_picture_that_is_clicked_is_asked_about_next(open_app: OpenApp) -> None:
    page = open_app("/compare?collection=plain&find=pictures")
    found = page.locator("ol.mapped > li").first
    expect(found).to_be_visible()
    before, said = asked_picture(page), found.locator(".text").inner_text()
    found.get_by_role("button").click()
    page.wait_for_url("**picture=*")
    expect(page.locator(ASKED)).not_to_have_attribute("src", before)
    # It is not found for itself, and the page still looks for pictures.
    expect(page.locator("ol.mapped > li").first.locator(".text")).not_to_have_text(said)
    expect(page.locator("ol.mapped > li").first.get_by_role("button")).to_be_visible()
    again = open_app("/compare?" + page.url.partition("?")[2])
    expect(again.locator(ASKED)).to_be_visible()
    assert asked_picture(again) == asked_picture(page)


def test_a_picture_found_for_words_takes_over_from_them(open_app: OpenApp) -> None:
    page = open_app("/compare?collection=plain&by=words&words=two+cats")
    expect(page.locator(".asked .words")).to_have_text("“two cats”")
    page.locator("ol.raw > li").nth(1).get_by_role("button").click()
    expect(page.locator(ASKED)).to_be_visible()
    expect(page.locator(".asked .words")).to_have_count(0)


def test_a_ranking_is_clicked_by_keyboard_alone(open_app: OpenApp) -> None:
    page = open_app("/compare?collection=plain&find=pictures")
    expect(page.locator("ol.mapped > li").first).to_be_visible()
    before = asked_picture(page)
    page.locator("ol.raw > li").nth(2).get_by_role("button").press("Enter")
    expect(page.locator(ASKED)).not_to_have_attribute("src", before)
