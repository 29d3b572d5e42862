"""The page Describe in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PACK, OpenApp

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
    expect(page.get_by_role("img", name=said)).to_be_visible()
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
    page.get_by_role("button", name="Copy caption").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
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
