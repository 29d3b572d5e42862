"""A picture is corrected where it is shown, without a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from service.access.visitor import Role
from tests.ui.conftest import OpenPage
from tests.worlds import copied_tree
from ui.shared.providers import USER_HEADERS
from ui.shared.resources import engine, jobs

PAGE = "ui/search/search.py"
HOSTILE = "<script>alert(1)</script> **wombat** [x](http://evil.example)"


@pytest.fixture(autouse=True)
def behind_a_door() -> Iterator[None]:
    """As `mrag serve` runs the pages: it tells them who looks at them."""
    before = config.get_option("server.trustedUserHeaders")
    config.set_option("server.trustedUserHeaders", USER_HEADERS)
    yield
    config.set_option("server.trustedUserHeaders", before)


@pytest.fixture
def own(home: Path, tmp_path: Path) -> Path:
    """A home that may be changed."""
    place = tmp_path / "home"
    copied_tree(home / "collections" / "postcards", place / "collections" / "postcards")
    return place


def opened(open_page: OpenPage, own: Path, picture: str, name: str, role: Role) -> AppTest:
    told = json.dumps({"name": name, "role": role, "by": "sign-in"})
    page = open_page(PAGE, at=own, q="a dog", picture=picture, user={"mrag_visitor": told})
    assert not page.exception
    return page


def press(page: AppTest, label: str) -> None:
    (button,) = [one for one in page.button if one.label == label]
    button.click().run()
    assert not page.exception


def said(page: AppTest) -> str:
    return "\n".join(str(one.value) for one in (*page.caption, *page.markdown, *page.error))


def test_a_picture_is_corrected_told_with_who_and_undone(open_page: OpenPage, own: Path) -> None:
    open_page(PAGE, at=own, q="a dog")
    picture = next(iter(engine().open("postcards").images.ids()))
    before = engine().open("postcards").images.get([picture])[0].captions
    page = opened(open_page, own, picture, "Ada", "write")
    page.text_area[0].set_value("   ")
    press(page, "Save")
    assert "no words" in said(page)
    page.text_area[0].set_value(HOSTILE)
    press(page, "Save")
    assert jobs().learner.settled("postcards", 120)
    assert engine().open("postcards").images.get([picture])[0].captions == (HOSTILE, *before)
    page = opened(open_page, own, picture, "Bob", "write")
    assert "Ada wrote this" in said(page)
    assert "<script>" not in said(page).replace("\\<", "")
    press(page, "Undo")
    assert jobs().learner.settled("postcards", 120)
    assert engine().open("postcards").images.get([picture])[0].captions == before
    reader = opened(open_page, own, picture, "Eve", "read")
    assert not reader.text_area
    assert "Bob took back this" in said(reader)
    assert jobs().learner.rested("postcards", 120)
