"""Labels on the page Collections, without a browser: looked at, given, taken back, hostile ones."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

from tests.ui.conftest import OpenPage, elements
from tests.worlds import copied_tree
from ui.shared.resources import engine, jobs

PAGE = "ui/collections/collections.py"


@pytest.fixture
def own(home: Path, tmp_path: Path) -> Path:
    """A home that may be changed."""
    place = tmp_path / "home"
    copied_tree(home / "collections" / "postcards", place / "collections" / "postcards")
    return place


def press(page: AppTest, label: str) -> AppTest:
    (button,) = [one for one in page.button if one.label == label]
    button.click().run()
    assert not page.exception
    return page


def said(page: AppTest) -> str:
    return "\n".join(str(one.value) for one in (*page.markdown, *page.error, *page.success))


def labels(name: str = "postcards") -> dict[str, int]:
    assert jobs().learner.labelled(name, 120)
    return dict(engine().open(name).images.facets().labels)


def test_labels_are_looked_at_before_they_are_given_and_taken_back(
    open_page: OpenPage, own: Path
) -> None:
    page = open_page(PAGE, at=own)
    assert "No picture has a label yet" in said(page)
    (area,) = page.text_area
    area.set_value("snow\nsnow")
    press(page, "See what they get")
    assert "there already" in said(page)
    area = page.text_area[0]
    area.set_value(
        "<b>snow</b> = in the snow\n<b>beach</b> = on the beach\n<b>room</b> = in a room"
    )
    page.radio[0].set_value("One, or none")
    press(page, "See what they get")
    assert "would get labels" in said(page)
    grids = [one for one in elements(page, "grid") if one["cards"]]
    assert any("<b>" in card["caption"] for one in grids for card in one["cards"])
    assert not labels()
    press(page, "Give them these labels")
    assert "pictures have labels now" in said(page)
    assert "<b>" not in said(page).replace("\\<", "")
    assert sum(labels().values()) > 0
    page.run()
    ways = [parse_qs(str(one.proto.query_string)) for one in page.get("page_link")]
    led_to = {way["q"][0] for way in ways if "q" in way}
    assert led_to == {f'label:"{label}"' for label in labels()}
    press(page, "Take back")
    assert not labels()
    assert "are taken back" in said(page)
