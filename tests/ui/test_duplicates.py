"""The page Duplicates, without a browser: groups, their list, and a collection that has none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine.app import build_engine
from engine.settings import SAMPLE_PACK, Settings
from ingest.readers import open_source
from tests.ui.conftest import OpenPage, fill

PAGE = "ui/duplicates/duplicates.py"
SCENES = SAMPLE_PACK / "plain" / "images"
HOSTILE = "**bold** [link](http:x)"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose collection holds eleven scenes twice, one of them under a hostile name."""
    home = tmp_path_factory.mktemp("duplicates")
    pictures = home / "pictures"
    pictures.mkdir()
    for number in range(11):
        scene = Image.open(SCENES / f"{number:03}.webp").convert("RGB")
        scene.save(pictures / f"{number}.jpg")
        scene.resize((64, 64)).save(pictures / f"{HOSTILE if number == 10 else number} small.jpg")
    shutil.copy(pictures / "3.jpg", pictures / "3 again.jpg")
    engine = build_engine(Settings(home=home / "home", profile="sample", device="cpu"))
    fill(engine, "twice", open_source(pictures))
    engine.close()
    return home / "home"


@pytest.fixture
def twice(made: Path) -> Iterator[Path]:
    yield made
    st.cache_resource.clear()  # the engine over this home


def told(page: AppTest) -> str:
    assert not page.exception
    return "\n".join(
        one.value for one in (*page.markdown, *page.caption, *page.subheader, *page.info)
    )


def test_groups_stand_side_by_side_with_what_differs(open_page: OpenPage, twice: Path) -> None:
    page = open_page(PAGE, at=twice)
    said = told(page)
    assert "11 groups of 23 files" in said
    assert "Nothing is deleted here" in said
    assert page.subheader[0].value == "1. 3 files that look the same"
    assert "keep" in said
    assert "**64 × 64 pixels**" in said
    assert len(page.subheader) == 10
    page.button(key="turn Next").click().run()
    assert [one.value for one in page.subheader] == ["11. 2 files that look the same"]


def test_files_of_the_same_bytes_alone(open_page: OpenPage, twice: Path) -> None:
    page = open_page(PAGE, at=twice, kind="Same file")
    assert [one.value for one in page.subheader] == ["1. 2 files of the same bytes"]


def test_names_of_files_are_shown_as_they_are(open_page: OpenPage, twice: Path) -> None:
    pages = [told(open_page(PAGE, at=twice, page=str(number))) for number in (1, 2)]
    assert r"\*\*bold\*\*" in "".join(pages)


@pytest.mark.parametrize("page", ["0", "99", "-1", "x", "9" * 30])
def test_a_page_that_is_none_is_another_one(open_page: OpenPage, twice: Path, page: str) -> None:
    assert "11 groups" in told(open_page(PAGE, at=twice, page=page))


def test_a_collection_without_duplicates_says_so(open_page: OpenPage) -> None:
    assert "No duplicates were found here" in told(open_page(PAGE, kind="Same file"))
