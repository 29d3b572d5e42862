"""The page Search in a real browser: what is found, and what the address keeps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ingest.readers import open_source
from tests.browser.conftest import PACK, PHONE, OpenApp, fill, settle, until

LONG = 10_000
HOSTILE = '<script>document.title="run"</script><img src=x onerror=alert(1)> ![x](http://a.b/c)'


def look_for(page: Page, words: str) -> None:
    settle(page)  # a run that ends while words are typed sets the field to what it was asked
    field = page.get_by_role("textbox", name="What to look for")
    field.fill(words)
    field.press("Enter")


def answered(page: Page) -> None:
    """Wait for the sentence that screen readers are told."""
    expect(page.get_by_role("status").filter(has_text="best first")).to_have_count(1)


def first_card(page: Page) -> str:
    answered(page)
    return page.get_by_role("listitem").first.inner_text()


def captions_of(row: int) -> list[str]:
    """What people wrote of a picture that the collection holds."""
    with (PACK / "plain" / "captions.jsonl").open(encoding="utf-8") as lines:
        captions: list[str] = json.loads(list(lines)[row])["captions"]
        return captions


def test_words_find_the_right_picture_first(open_app: OpenApp) -> None:
    wanted = captions_of(0)
    page = open_app("/search")
    look_for(page, wanted[0])
    shown = first_card(page)
    assert any(caption in shown for caption in wanted)


def test_what_is_likely_stands_above_a_line_and_is_told(open_app: OpenApp) -> None:
    page = open_app("/search?q=snow&space=fused", size=PHONE)
    answered(page)
    told = page.get_by_role("status").filter(has_text="Likely what you asked for:")
    expect(told).to_have_count(1)
    above = page.get_by_role("heading", name="Likely (", exact=False)
    below = page.get_by_role("heading", name="Less likely", exact=True)
    above_at, below_at = above.bounding_box(), below.bounding_box()
    assert above_at
    assert below_at
    assert above_at["y"] < below_at["y"]
    page.get_by_role("heading", name="Less likely").scroll_into_view_if_needed()
    look_for(page, "a spaceship")
    told = page.get_by_role("status").filter(has_text="Nothing here is likely")
    expect(told.filter(has_not_text="The nearest come below")).to_have_count(1)
    expect(above).to_have_count(0)
    expect(below).to_have_count(1)


def test_the_address_restores_a_search(open_app: OpenApp) -> None:
    words = captions_of(1)[0]
    page = open_app("/search")
    look_for(page, words)
    found = first_card(page)
    page.wait_for_url("**q=*")
    again = open_app("/search?" + page.url.partition("?")[2])
    expect(again.get_by_role("textbox", name="What to look for")).to_have_value(words)
    assert first_card(again) == found


def test_back_brings_the_former_search_back(open_app: OpenApp) -> None:
    former, later = captions_of(2), captions_of(3)
    page = open_app("/search")
    look_for(page, former[0])
    found = first_card(page).splitlines()[0]
    look_for(page, later[0])
    expect(page.get_by_role("listitem").first).not_to_contain_text(found)
    page.go_back()
    expect(page.get_by_role("textbox", name="What to look for")).to_have_value(former[0])
    expect(page.get_by_role("listitem").first).to_contain_text(found)


def test_a_picture_opens_large_and_leads_to_more_like_it(open_app: OpenApp) -> None:
    page = open_app("/search?q=two+cats")
    page.get_by_role("listitem").first.get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("img").first).to_be_visible()
    dialog.get_by_role("button", name="More like this").click()
    page.wait_for_url("**like=*")
    answered(page)


def test_the_keyboard_goes_on_at_the_picture_that_was_closed(open_app: OpenApp) -> None:
    page = open_app("/search?q=two+cats")
    answered(page)
    button = page.get_by_role("listitem").nth(2).get_by_role("button")
    button.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    expect(button).to_be_focused()


def scrolled(page: Page) -> int:
    """How far down the page is."""
    top: int = page.get_by_test_id("stMain").evaluate("part => Math.round(part.scrollTop)")
    return top


def wait_for_top(page: Page) -> None:
    until(page, "document.querySelector('[data-testid=stMain]').scrollTop === 0")


def test_the_first_next_shows_the_next_page_from_its_top(open_app: OpenApp) -> None:
    page = open_app("/search?q=two+cats")
    answered(page)
    below = page.get_by_role("button", name="Next", exact=True).last
    below.scroll_into_view_if_needed()
    assert scrolled(page) > 0
    below.click()
    expect(page.get_by_role("status").filter(has_text="Pictures 25 to")).to_have_count(1)
    wait_for_top(page)


def test_more_like_a_picture_far_down_is_shown_from_the_top(open_app: OpenApp) -> None:
    page = open_app("/search", size=PHONE)
    card = page.get_by_role("listitem").nth(11).get_by_role("button")
    card.scroll_into_view_if_needed()
    assert scrolled(page) > 0
    card.click()
    page.get_by_role("dialog").get_by_role("button", name="More like this").click()
    page.wait_for_url("**like=*")
    expect(page.get_by_text("Like this one")).to_be_visible()
    wait_for_top(page)


def test_a_search_outlasts_a_visit_to_describe(open_app: OpenApp) -> None:
    page = open_app("/search?q=two+cats&space=raw")
    found = first_card(page)
    page.get_by_role("link", name="Describe").first.click()
    page.wait_for_url(lambda url: "/search" not in url)
    page.get_by_role("link", name="Search").first.click()
    page.wait_for_url("**q=two+cats*")
    expect(page.get_by_role("textbox", name="What to look for")).to_have_value("two cats")
    assert first_card(page) == found
    assert "space=raw" in page.url


def test_more_characters_than_a_search_has_are_told_when_pasted(open_app: OpenApp) -> None:
    page = open_app("/search?q=two+cats")
    answered(page)
    look_for(page, "a cat " * 100)
    expect(page.get_by_text("These are 600 characters")).to_be_visible()
    expect(page.get_by_role("textbox", name="What to look for")).to_have_value("a cat " * 100)
    expect(page.get_by_role("listitem").first).to_be_visible()


def test_only_unwanted_words_leave_pictures_and_examples_to_click(open_app: OpenApp) -> None:
    page = open_app("/search")
    look_for(page, "-cat")
    expect(page.get_by_text("says what to leave out").first).to_be_visible()
    expect(page.get_by_role("listitem").first).to_be_visible()
    page.locator(".st-key-search-examples").get_by_role("button").first.click()
    answered(page)


def test_filters_are_typed_and_taken_away_by_keyboard_on_a_phone(
    open_app: OpenApp,
) -> None:
    page = open_app("/search?collection=plain", size=PHONE)
    field = page.get_by_role("textbox", name="What to look for")
    look_for(page, "two cats after:May")
    expect(page.get_by_text("at character 10 of the search")).to_be_visible()
    look_for(page, "two cats -tag:x ext:webp")
    answered(page)
    page.get_by_role("button", name="-tag:x").press("Enter")
    expect(field).to_have_value("two cats ext:webp")
    page.wait_for_url("**q=two+cats+ext*")
    look_for(page, "ext:webp")
    expect(page.get_by_role("status").filter(has_text="newest first")).to_have_count(1)


def test_links_of_a_search_name_their_collection(open_app: OpenApp) -> None:
    page = open_app("/search?collection=plain&q=two+cats")
    answered(page)
    look_for(page, "a dog")
    page.wait_for_url("**q=a+dog*")
    assert "collection=plain" in page.url


def test_the_large_view_turns_by_key_and_gives_the_picture_on(open_app: OpenApp) -> None:
    page = open_app("/search?collection=plain&q=two+cats")
    answered(page)
    page.get_by_role("listitem").first.get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Picture 1", exact=True)).to_be_visible()
    first = dialog.get_by_role("img").first.get_attribute("alt")
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_text("Picture 2", exact=True)).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(dialog.get_by_role("img", name=first or "", exact=True)).to_be_visible()
    expect(dialog.get_by_role("button", name="Previous")).to_be_disabled()
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Download").click()
    assert download.value.path().read_bytes()[:4] == b"RIFF"  # the WebP file itself
    dialog.get_by_role("button", name="Compare").click()
    page.wait_for_url("**/compare?*picture=*")
    expect(page.locator(".asked img")).to_be_visible()


def test_the_large_view_has_a_picture_described(open_app: OpenApp) -> None:
    page = open_app("/search?q=two+cats")
    answered(page)
    page.get_by_role("listitem").first.get_by_role("button").click()
    page.get_by_role("dialog").get_by_role("button", name="Describe").click()
    expect(page.get_by_role("button", name="Copy caption")).to_have_count(1)


@pytest.fixture(scope="module")
def untrusted(tmp_path_factory: pytest.TempPathFactory, home: Path) -> str:
    """A collection whose captions hold markup."""
    folder = tmp_path_factory.mktemp("untrusted")
    for number in range(1, 31):
        name = f"{number:03}"
        image = next((PACK / "plain" / "images").glob(f"*{number}.webp"))
        shutil.copy(image, folder / f"{name}.webp")
        caption = f"{HOSTILE} {name}" if number > 1 else "long" * (LONG // 4)
        (folder / f"{name}.txt").write_text(caption, encoding="utf-8")
    fill(home, "untrusted", open_source(folder))
    return "untrusted"


@pytest.mark.parametrize("path", ["/?", "/search?", "/search?q=script&", "/compare?"])
def test_markup_in_captions_is_shown_and_never_run(
    open_app: OpenApp, address: str, untrusted: str, path: str
) -> None:
    page = open_app(f"/collections?collection={untrusted}")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: asked.append(f"dialog {dialog.message}"))
    page.goto(f"{address}{path}collection={untrusted}")
    if path == "/?":
        page.locator("ul.strip button").first.click()
    expect(page.get_by_text('<script>document.title="run"</script>').first).to_be_visible()
    expect(page).not_to_have_title("run")
    assert [url for url in asked if not url.startswith((address, "data:", "blob:", "ws:"))] == []


def test_a_caption_as_long_as_a_book_leaves_room_for_the_others(
    open_app: OpenApp, untrusted: str
) -> None:
    page = open_app(f"/search?q=longlonglonglong&space=caption&collection={untrusted}")
    answered(page)
    card = page.get_by_role("listitem").filter(has_text="longlong")
    box = card.bounding_box()
    assert box
    assert box["height"] < 2 * box["width"]


def test_several_pictures_are_chosen_by_key_on_a_phone(open_app: OpenApp) -> None:
    """More like these, not those, across two pages; what was chosen is in the address."""
    page = open_app("/search?q=two+cats&space=raw", size=PHONE)
    answered(page)
    page.get_by_text("Choose several").click()
    page.get_by_role("button", name="More like this").first.press("Enter")
    page.get_by_role("button", name="Not like this").nth(1).press("Space")
    page.get_by_role("button", name="Next", exact=True).first.click()
    expect(page.get_by_role("status").filter(has_text="Pictures 25 to")).to_have_count(1)
    page.get_by_role("button", name="More like this").first.click()
    expect(page.get_by_text("2 like these, 1 not those").first).to_be_visible()
    page.get_by_role("button", name="Find more").first.click()
    page.wait_for_url("**unlike=*")
    assert page.url.count("&like=") == 2
    expect(page.get_by_text("Like these")).to_be_visible()
    expect(page.get_by_text("Not like this one")).to_be_visible()
    remove = page.get_by_role("button", name="Remove")
    expect(remove).to_have_count(3)
    remove.last.press("Enter")  # pictures that still come in move what is under a pointer
    page.wait_for_url(lambda url: "unlike" not in url)
    answered(page)
