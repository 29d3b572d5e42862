"""The page Ask, without a browser: questions, what was searched for them, and the answers."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from engine.app import build_engine
from engine.settings import SAMPLE_PACK, Settings
from ingest.readers import open_source
from tests.ui.conftest import OpenPage, elements, fill

PAGE = "ui/ask/ask.py"
HOSTILE = "<b>two</b> **dogs** on [a beach](http://example.org)\x1b[0m"


def answer_of(page: AppTest) -> str:
    """The answer, without the marks that keep it from being read as Markdown."""
    assert not page.exception
    return re.sub(r"\\(.)", r"\1", page.subheader[0].value)


def told(page: AppTest) -> str:
    assert not page.exception
    shown = (*page.subheader, *page.markdown, *page.caption, *page.info, *page.warning)
    return "\n".join(one.value for one in shown)


def test_a_question_is_answered_and_its_search_can_be_changed(open_page: OpenPage) -> None:
    page = open_page(PAGE, collection="plain")
    assert "Try:" in told(page)
    page.text_input[0].set_value("how many pictures show a truck?").run()
    assert "in the captions" in answer_of(page)
    assert page.text_input[1].value == "truck"
    (cards,) = (one["cards"] for one in elements(page, "grid"))
    assert [card["score"] for card in cards] == [f"[{at}]" for at in range(1, len(cards) + 1)]
    assert "counts pictures" in told(page)
    page.text_input[1].set_value("castle").run()
    assert page.text_input[1].value == "castle"
    (others,) = (one["cards"] for one in elements(page, "grid"))
    assert {card["id"] for card in others} != {card["id"] for card in cards}
    page.text_input[0].set_value("is there a unicorn?").run()  # a new question is read anew
    assert answer_of(page).startswith("No: no caption has “unicorn”")
    assert page.text_input[1].value == "unicorn"


def test_a_link_asks_and_may_be_about_pictures(open_page: OpenPage, home: Path) -> None:
    engine = build_engine(Settings(home=home, profile="sample", device="cpu"))
    (hit,) = engine.open("plain").images.browse(k=1)
    engine.close()
    page = open_page(PAGE, collection="plain", about=hit.id)
    tried = [one.key for one in page.button if (one.key or "").startswith("try ")]
    assert tried == ["try What is in the picture?", "try Where was it taken?"]
    page = open_page(PAGE, collection="plain", ask="where is this?", about=hit.id)
    assert answer_of(page)
    assert "About\\: " in told(page)
    assert [one.label for one in page.text_input] == ["Question"]  # nothing was searched
    page.button(f"ask forget {hit.id}").click().run()
    assert "What was searched" in [one.label for one in page.text_input]


def test_the_best_are_put_in_another_order_where_the_address_says_so(open_page: OpenPage) -> None:
    question = "which pictures show a truck or a castle?"
    page = open_page(PAGE, collection="plain", ask=question, rerank="pointwise")
    assert "reranked" in told(page)
    order = page.sidebar.selectbox(key="ask order")
    assert order.value == "pointwise"
    order.set_value("off").run()
    assert "reranked" not in told(page)
    page = open_page(PAGE, collection="plain", ask=question, rerank="nonsense")
    assert "reranked" not in told(page)


def test_what_cannot_be_asked_is_said(open_page: OpenPage) -> None:
    page = open_page(PAGE, collection="plain", ask="x" * 501)
    assert "up to 500" in told(page)
    page = open_page(PAGE, collection="plain", ask="?!")
    assert "ask something" in page.error[0].value
    page = open_page(PAGE, collection="plain", ask="dogs?", search="after:never")
    assert "at character 1" in page.error[0].value
    search = page.text_input(key="ask search 0")
    assert search.value == "after:never"  # where it can be mended
    search.set_value("dogs").run()
    assert not page.error
    assert answer_of(page)


def test_a_question_outlasts_a_visit_to_another_page(open_page: OpenPage) -> None:
    page = open_page(PAGE, collection="plain")
    page.text_input[0].set_value("is there a castle?").run()
    page.text_input(key="ask search 0").set_value("castle ext:webp").run()
    said = answer_of(page)
    page.query_params.clear()  # as the browser's address is without them on another page
    page.switch_page("ui/collections/collections.py").run()
    page.switch_page(PAGE).run()
    assert page.text_input[0].value == "is there a castle?"
    assert page.text_input(key="ask search 0").value == "castle ext:webp"
    assert answer_of(page) == said


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a picture whose caption is no innocent one, and one without any."""
    tmp_path = tmp_path_factory.mktemp("hostile")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    shutil.copy(SAMPLE_PACK / "plain" / "images" / "000.webp", pictures / "a.webp")
    (tmp_path / "captions.csv").write_text(f'image,caption\na.webp,"{HOSTILE}"\n')
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(SAMPLE_PACK / "plain" / "images" / "001.webp", bare)
    engine = build_engine(Settings(home=tmp_path / "home", profile="sample", device="cpu"))
    fill(engine, "one", open_source(tmp_path / "captions.csv", images=pictures))
    fill(engine, "none", open_source(bare))
    engine.close()
    return tmp_path / "home"


def test_a_hostile_caption_is_shown_as_text(open_page: OpenPage, hostile: Path) -> None:
    page = open_page(PAGE, at=hostile, collection="one", ask="what did we photograph on a beach?")
    answer = page.subheader[0].value
    assert "such as" in answer
    assert "\\<b\\>two" in answer
    assert "\\*\\*dogs" in answer
    assert "\x1b" not in answer
    (cards,) = (one["cards"] for one in elements(page, "grid"))
    assert "\x1b" not in cards[0]["caption"]
    st.cache_resource.clear()


def test_a_collection_without_captions_says_so(open_page: OpenPage, hostile: Path) -> None:
    page = open_page(PAGE, at=hostile, collection="none")
    assert "no captions yet" in told(page)
    page.text_input[0].set_value("what is next to the house?").run()
    assert answer_of(page).startswith("The captions do not say")
    st.cache_resource.clear()
