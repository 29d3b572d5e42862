"""The page Describe, without a browser."""

from __future__ import annotations

import base64
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from corpus.records import CaptionRecord
from engine.app import build_engine
from engine.settings import SAMPLE_PACK, Settings
from ingest.readers import open_source
from tests.ui.conftest import OpenPage, elements, fill
from ui.describe.intake import first_pictures, read_pasted
from ui.describe.landing import example_searches
from ui.shared.resources import engine

DOUGHNUTS = SAMPLE_PACK / "plain" / "images" / "351.webp"
Upload = tuple[str, bytes, str]


def upload(*paths: Path) -> list[Upload]:
    return [(path.name, path.read_bytes(), "image/webp") for path in paths]


def describe(page: AppTest, *files: Upload) -> list[Any]:
    page.file_uploader[0].set_value(list(files)).run()
    assert not page.exception
    return list(elements(page, "described"))


def test_a_picture_gets_its_caption_and_it_is_announced(open_page: OpenPage) -> None:
    page = open_page()
    assert list(elements(page, "announcer")) == [""]
    (told,) = describe(page, *upload(DOUGHNUTS))
    (expected,) = (
        engine().open("plain").captioner().describe([Image.open(DOUGHNUTS).convert("RGB")])
    )
    assert told["caption"] == expected.caption
    assert "351.webp" in told["notes"][0]
    (said,) = elements(page, "announcer")
    assert told["caption"] in said
    Image.open(BytesIO(base64.b64decode(told["image"]))).verify()


def test_one_bad_file_is_shown_as_bad_and_the_rest_go_on(open_page: OpenPage) -> None:
    bad = ("<b>bad</b>.jpg", b"\xff\xd8\xff and then nothing", "image/jpeg")
    other = upload(SAMPLE_PACK / "plain" / "images" / "352.webp")
    page = open_page()
    told = describe(page, *upload(DOUGHNUTS), bad, *other)
    (counted,) = page.get("progress")
    assert counted.proto.text == "2 of 3 described, 1 could not be read"
    assert [sorted(one) for one in told] == [
        ["caption", "image", "notes", "said"],
        ["name", "said", "trouble"],
        ["caption", "image", "notes", "said"],
    ]
    assert told[1]["said"].startswith("<b>bad</b>.jpg: ")
    assert told[2]["said"].endswith("(3 of 3)")
    assert told[1]["name"] == "<b>bad</b>.jpg"
    assert "damaged" in told[1]["trouble"]


def test_limits_are_held_before_anything_is_opened(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRAG_MAX_UPLOAD_FILES", "1")
    monkeypatch.setenv("MRAG_MAX_IMAGE_PIXELS", "100")
    st.cache_resource.clear()
    page = open_page()
    (told,) = describe(page, *upload(DOUGHNUTS, DOUGHNUTS))
    st.cache_resource.clear()
    assert "pixels" in told["trouble"]
    assert "1 of 2 files are left out" in page.warning[0].value.replace("\\", "")


def test_a_changed_option_describes_anew_and_an_old_one_is_remembered(open_page: OpenPage) -> None:
    page = open_page()
    (first,) = describe(page, *upload(DOUGHNUTS))
    page.sidebar.slider(key="describe k").set_value(1).run()
    (second,) = elements(page, "described")
    page.sidebar.slider(key="describe k").set_value(4).run()
    (third,) = elements(page, "described")
    assert second["notes"] != first["notes"]
    assert third == first


def test_a_prompt_without_a_place_for_captions_is_told(open_page: OpenPage) -> None:
    page = open_page()
    page.sidebar.selectbox(key="describe prompt").set_value("your own").run()
    page.sidebar.text_area(key="describe own prompt").set_value("Say something.").run()
    assert "exactly once" in page.error[0].value


def test_details_of_one_picture_are_seen_and_those_of_many_on_demand(open_page: OpenPage) -> None:
    page = open_page()
    describe(page, *upload(DOUGHNUTS))
    candidates, retrieved = elements(page, "scored")
    assert sum(row["chosen"] for row in candidates["rows"]) == 1
    assert len(retrieved["rows"]) == 4
    assert all(row["image"] for row in retrieved["rows"])
    assert page.code[0].value.startswith("Similar images have the following captions:")
    (made,) = elements(page, "trace")
    stages = [step["stage"] for step in made["steps"]]
    assert stages == ["open", "map", "retrieve: mapped", "answer"]
    assert "encode" in made["steps"][0]["parts"]
    assert len(made["steps"][2]["moves"]) == 4
    describe(page, *upload(DOUGHNUTS, DOUGHNUTS.with_name("352.webp")))
    assert not list(elements(page, "scored"))
    page.session_state[f"details file {page.file_uploader[0].value[1].file_id}"] = True
    page.run()
    assert len(list(elements(page, "scored"))) == 2


def test_a_picture_of_the_collection_is_described_as_if_it_were_new(
    open_page: OpenPage,
) -> None:
    page = open_page()
    images = engine().open("plain").images
    (picture,) = images.get([next(images.ids())])
    (told,) = describe(page, *upload(Path(picture.uri)))
    assert told["notes"][1].startswith("In the collection people wrote:")
    page.sidebar.toggle(key="describe own captions").set_value(True).run()
    (own,) = elements(page, "described")
    alone, helped = (float(one["notes"][0].split("score ")[1].split()[0]) for one in (told, own))
    assert helped >= alone


def test_captions_without_pictures_describe_too(open_page: OpenPage, tmp_path: Path) -> None:
    filling = build_engine(Settings(home=tmp_path, profile="sample", device="cpu"))
    texts = ["Two cats on the beach.", "Three <b>doughnuts</b> on the beach.", "A car at night."]
    fill(filling, "words", [CaptionRecord(text) for text in texts])
    filling.close()
    page = open_page(at=tmp_path)
    assert not page.error
    (told,) = describe(page, *upload(DOUGHNUTS))
    assert told["caption"]


def test_where_nothing_has_a_caption_the_page_says_what_to_do(
    open_page: OpenPage, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    shutil.copy(DOUGHNUTS, mine)
    filling = build_engine(Settings(home=tmp_path, profile="sample", device="cpu"))
    fill(filling, "wordless", open_source(mine))
    filling.close()
    page = open_page(at=tmp_path)
    assert "Nothing in this collection has a caption yet" in page.info[0].value
    assert not page.exception
    page = open_page("ui/collections/collections.py", at=tmp_path)
    assert "nothing can be described" in page.info[0].value
    assert not page.exception


def test_clear_forgets_everything(open_page: OpenPage) -> None:
    page = open_page()
    describe(page, *upload(DOUGHNUTS))
    (clear,) = [button for button in page.button if button.label == "Clear"]
    clear.click().run()
    assert not list(elements(page, "described"))
    assert not page.file_uploader[0].value


def test_a_visit_to_another_page_loses_nothing(open_page: OpenPage) -> None:
    page = open_page()
    page.sidebar.slider(key="describe k").set_value(2).run()
    before = describe(page, *upload(DOUGHNUTS, DOUGHNUTS.with_name("352.webp")))
    page.switch_page("ui/system/system.py").run()
    page.switch_page("ui/describe/describe.py").run()
    assert list(elements(page, "described")) == before
    assert page.sidebar.slider(key="describe k").value == 2
    page.run()
    assert list(elements(page, "described")) == before


def test_a_file_that_is_taken_out_is_gone(open_page: OpenPage) -> None:
    page = open_page()
    first, second = describe(page, *upload(DOUGHNUTS, DOUGHNUTS.with_name("352.webp")))
    assert first != second
    (left,) = describe(page, *upload(DOUGHNUTS.with_name("352.webp")))
    assert left["caption"] == second["caption"]


@pytest.mark.parametrize(
    "sent",
    [None, "text", {}, {"data": 3}, {"data": "no base64!"}, {"data": "QUJD" * 100}],
)
def test_what_is_no_picture_from_the_clipboard_is_passed_over(sent: object) -> None:
    assert read_pasted(sent, max_bytes=100) is None


def test_a_picture_from_the_clipboard_is_taken() -> None:
    given = read_pasted({"data": base64.b64encode(b"picture").decode(), "type": "image/png"}, 100)
    assert given is not None
    assert given.read() == b"picture"


def test_the_first_look_has_an_example_and_searches_that_find(open_page: OpenPage) -> None:
    page = open_page()
    (example,) = elements(page, "example")
    Image.open(BytesIO(base64.b64decode(example["image"]))).verify()
    assert len(example["caption"].split()) > 2
    known = {words for hit in first_pictures(engine().open("plain"), 12) for words in hit.captions}
    searches = example_searches(engine().open("plain"))
    assert len(searches) > 2
    assert set(searches) <= known
    describe(page, *upload(DOUGHNUTS))
    assert not list(elements(page, "example"))


def test_a_presentation_shows_the_next_picture_and_is_left(open_page: OpenPage) -> None:
    page = open_page(present="1")
    (first,) = elements(page, "presenter")
    assert first["caption"]
    assert first["sources"]
    assert first["place"].startswith("1 of ")
    assert not page.file_uploader
    page.session_state["presented"] = -1
    page.run()
    (last,) = elements(page, "presenter")
    assert last["id"] != first["id"]
    del page.query_params["present"]
    page.run()
    assert page.file_uploader
