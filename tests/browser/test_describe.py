"""The page Describe in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PACK, OpenApp, settle, until

PICTURE = PACK / "plain" / "images" / "351.webp"
OTHER = PACK / "plain" / "images" / "352.webp"


def give(page: Page, *files: Path) -> None:
    page.locator("input[type=file]").first.set_input_files([str(file) for file in files])


def caption(page: Page) -> str:
    """The description that is shown large."""
    page.get_by_role("button", name="Copy caption").wait_for()
    return page.locator("h2.caption").inner_text()


def test_an_uploaded_picture_gets_its_caption_large_and_as_its_alternative(
    open_app: OpenApp,
) -> None:
    page = open_app()
    give(page, PICTURE)
    said = caption(page)
    assert len(said.split()) > 2
    expect(page.locator(".described").get_by_role("img", name=said, exact=True)).to_be_visible()
    expect(page.get_by_role("status").filter(has_text=said)).to_have_count(1)


def test_a_corrupt_file_shows_its_error_and_the_next_upload_works(
    open_app: OpenApp, tmp_path: Path
) -> None:
    bad = tmp_path / "broken.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n" + b"<img src=x onerror=alert(1)>")
    page = open_app()
    give(page, bad)
    expect(page.locator("p.trouble")).to_contain_text("broken.png: cannot be decoded")
    give(page, OTHER)
    expect(page.get_by_role("button", name="Copy caption")).to_have_count(1)
    expect(page.get_by_text("Traceback")).to_have_count(0)


def test_the_caption_can_be_copied(open_app: OpenApp) -> None:
    page = open_app()
    give(page, PICTURE)
    said = caption(page)
    button = page.get_by_role("button", name="Copy caption")
    button.evaluate(
        """button => {
          window.told = [];
          new MutationObserver(() => window.told.push(button.textContent))
            .observe(button, {childList: true});
        }"""
    )
    button.click()
    until(page, "window.told.includes('Copied')")  # it says so for a moment alone
    assert page.evaluate("navigator.clipboard.readText()") == said


def test_many_pictures_can_be_taken_away_as_csv(open_app: OpenApp) -> None:
    page = open_app()
    give(page, PICTURE, OTHER)
    expect(page.get_by_role("button", name="Copy caption")).to_have_count(2)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    lines = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 3
    assert "351.webp" in lines[1]


def test_a_picture_of_the_collection_is_described_by_a_click(open_app: OpenApp) -> None:
    page = open_app()
    page.locator("ul.strip button").first.click()
    expect(page.get_by_role("button", name="Copy caption")).to_have_count(1)


@pytest.mark.parametrize("name", ["<script>document.title='run'</script>.webp", "**a**$b$.webp"])
def test_a_hostile_file_name_is_shown_as_it_is(
    open_app: OpenApp, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name.replace("/", "_")
    file.write_bytes(PICTURE.read_bytes())
    page = open_app()
    give(page, file)
    expect(page.get_by_text(file.name).first).to_be_visible()
    expect(page).not_to_have_title("run")


def names(page: Page) -> list[str]:
    """What the described pictures are called, the topmost first."""
    notes = page.locator(".described .note:first-of-type")
    return [text.split(" · ")[0] for text in notes.all_inner_texts()]


def described(page: Page, *wanted: str) -> None:
    """Wait until these are described, in this order."""
    expect(page.locator(".described .note:first-of-type")).to_have_text(
        [re.compile(f"^{re.escape(name)} · ") for name in wanted]
    )


def test_the_first_page_says_what_this_is_and_shows_it(open_app: OpenApp) -> None:
    page = open_app()
    expect(page.get_by_text("mRAG writes what a picture shows")).to_be_visible()
    said = page.locator(".example .said")
    expect(said).to_have_text(re.compile(r"\w+ \w+"))
    expect(page.locator(".example").get_by_role("img", name=said.inner_text())).to_be_visible()
    search = page.locator(".st-key-searches").get_by_role("link").first
    words = search.inner_text().splitlines()[-1]
    search.press("Enter")  # pictures that still come in move what is under a pointer
    expect(page.get_by_role("textbox", name="What to look for")).to_have_value(words)
    expect(page.get_by_role("status").filter(has_text="best first")).to_have_count(1)


def test_a_picture_from_the_clipboard_is_described(open_app: OpenApp) -> None:
    page = open_app()
    page.evaluate(
        """async () => {
          const canvas = Object.assign(document.createElement("canvas"), {width: 64, height: 64});
          canvas.getContext("2d").fillRect(8, 8, 32, 32);
          const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
          await navigator.clipboard.write([new ClipboardItem({"image/png": blob})]);
        }"""
    )
    page.get_by_role("button", name="Paste a picture").click()
    described(page, "pasted picture")


def test_a_picture_of_the_camera_comes_in_once_and_stays_in_its_place(open_app: OpenApp) -> None:
    page = open_app()
    page.get_by_text("Use the camera").click()
    until(page, "document.querySelector('video')?.readyState >= 3")
    page.get_by_role("button", name="Take Photo").click()
    expect(page.get_by_role("button", name="Copy caption")).to_have_count(1)
    (shot,) = names(page)
    settle(page)
    page.locator("ul.strip button").first.click()
    expect(page.get_by_role("button", name="Copy caption")).to_have_count(2)
    expect(page.locator(".described .note:first-of-type").last).to_contain_text(shot)
    give(page, OTHER)
    expect(page.get_by_role("button", name="Copy caption")).to_have_count(3)
    assert names(page)[0] == OTHER.name
    assert names(page)[2] == shot


def test_of_several_pictures_each_is_heard_as_soon_as_it_is_described(open_app: OpenApp) -> None:
    page = open_app()
    page.locator(".mrag-announcer").wait_for(state="attached")
    page.evaluate(
        """() => {
          const status = document.querySelector(".mrag-announcer");
          window.heard = [];
          new MutationObserver(() => window.heard.push(status.textContent))
            .observe(status, {childList: true, characterData: true, subtree: true});
        }"""
    )
    give(page, PICTURE, OTHER)
    until(page, "window.heard.length >= 2")  # what sums it up may have come, too
    first, second, *_ = page.evaluate("window.heard")
    assert first.startswith(f"{PICTURE.name}: ")
    assert first.endswith("(1 of 2)")
    assert second.startswith(f"{OTHER.name}: ")


def test_the_chosen_candidate_is_marked_in_words(open_app: OpenApp) -> None:
    page = open_app()
    give(page, PICTURE)
    said = caption(page)
    chosen = page.get_by_role("listitem").filter(has_text="✓ chosen")
    expect(chosen).to_have_count(1)
    expect(chosen).to_contain_text(said)


def test_a_reload_says_that_what_was_given_is_gone(open_app: OpenApp) -> None:
    page = open_app()
    told = page.get_by_text("has let go of the picture that you gave")
    give(page, PICTURE)
    caption(page)
    expect(told).to_have_count(0)
    page.reload()
    expect(told).to_be_visible()
    give(page, PICTURE)
    caption(page)
    expect(told).to_have_count(0)
    page.get_by_role("button", name="Clear").click()
    page.locator(".example .said").wait_for()
    expect(told).to_have_count(0)  # who clears knows it


def test_pictures_are_presented_by_key(open_app: OpenApp) -> None:
    page = open_app()
    page.get_by_role("button", name="Present").click()
    place = page.locator(".bar .place")
    expect(place).to_have_text(re.compile("^1 of "))
    first = page.locator(".stage h1").inner_text()
    size = page.locator(".stage").evaluate("stage => [stage.clientWidth, stage.clientHeight]")
    assert tuple(size) == DESKTOP
    page.keyboard.press("ArrowRight")
    expect(place).to_have_text(re.compile("^2 of "))
    expect(page.locator(".stage h1")).not_to_have_text(first)
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".stage h1")).to_have_text(first)
    page.keyboard.press("Escape")
    expect(page.locator(".stage")).to_have_count(0)
    expect(page.get_by_text("Drop pictures here").first).to_be_visible()
    expect(page).not_to_have_url(re.compile("present"))
