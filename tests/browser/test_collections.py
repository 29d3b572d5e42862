"""The page Collections in a real browser."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import PACK, PHONE, OpenApp

PICTURES = sorted((PACK / "plain" / "images").glob("*.webp"))[-7:]


def test_a_zip_becomes_a_collection_that_is_searched_and_deleted_again(
    open_app: OpenApp, tmp_path: Path
) -> None:
    """Its table names five of seven pictures; it comes between the others in the list."""
    file = tmp_path / "Seven of mine.zip"
    table = "".join(f"{path.name},my picture {at}\n" for at, path in enumerate(PICTURES[:5]))
    with zipfile.ZipFile(file, "w") as zipped:
        for path in PICTURES:
            zipped.write(path, path.name)
        zipped.writestr("captions.csv", f"image,caption\n{table}")
    page = open_app("/collections?collection=plain")
    page.get_by_role("textbox", name="Name").fill("plays")
    page.get_by_label("Zip archive").locator("input[type=file]").set_input_files(str(file))
    page.get_by_role("button", name="Make the collection").click()
    expect(page.get_by_text("plays from Seven of mine.zip: done")).to_be_visible()
    card = page.get_by_role("listitem").filter(has_text="plays")
    expect(card).to_contain_text("7 pictures · 7 captions")
    page.locator("[class*=st-key-go-on]").get_by_role("link", name="Search it").click()
    expect(page).to_have_url(re.compile(r"/search\?collection=plays$"))

    page.get_by_role("link", name="Collections").click()
    expect(card).to_contain_text("✓ Chosen")
    page.get_by_text("Delete plays").click()
    confirm = page.get_by_role("textbox", name="Type plays to confirm")
    confirm.fill("plays")
    confirm.press("Enter")
    page.get_by_role("button", name="Delete for good").click()
    expect(card).to_have_count(0)
    expect(page).to_have_url(re.compile(r"/collections\?collection=plain$"))
    expect(page.get_by_text("Something went wrong")).to_have_count(0)
    expect(page.get_by_text("Delete plays")).to_have_count(0)
    expect(page.get_by_text("Seven of mine.zip")).to_have_count(0)


def test_labels_are_tried_given_and_taken_back_by_keyboard_on_a_phone(open_app: OpenApp) -> None:
    page = open_app("/collections?collection=plain", size=PHONE)
    page.locator("summary").filter(has_text="Labels").press("Enter")
    area = page.get_by_role("textbox", name="Labels, one a line")
    area.fill("<b>snow</b> = in the snow\nbeach = on the beach")
    page.get_by_role("button", name="See what they get").press("Enter")
    expect(page.get_by_text("would get labels")).to_be_visible()
    page.get_by_role("button", name="Give them these labels").press("Enter")
    expect(page.get_by_text("have labels now")).to_be_visible()
    expect(page.get_by_text("<b>snow</b>, beach")).to_be_visible()  # as text, not bold
    page.get_by_role("button", name="Take back").press("Enter")
    expect(page.get_by_text("are taken back")).to_be_visible()
    expect(page.get_by_text("No picture has a label yet")).to_be_visible()
