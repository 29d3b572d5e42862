"""The page Compare, without a browser: who wins, what moved, the gap, and bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from PIL import Image, ImageFilter
from streamlit.testing.v1 import AppTest

from engine.app import build_engine
from engine.collection import CollectionFolder
from engine.settings import SAMPLE_PACK, Settings
from ingest.fit import fit
from ingest.push import push
from ingest.readers import open_captions, open_source
from tests.ui.conftest import OpenPage, fill
from tests.worlds import copied_tree

PAGE = "ui/compare/compare.py"


@pytest.fixture(scope="module")
def remapped(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home again, with `postcards` out of focus and a map that is not raw, few as they are."""
    made = tmp_path_factory.mktemp("mapped") / "home"
    copied_tree(home, made, ignore=shutil.ignore_patterns("postcards"))
    folder, settings = CollectionFolder(made, "postcards"), Settings(home=made, profile="sample")
    engine = build_engine(settings)
    fill(engine, "postcards", open_source(out_of_focus(made.parent / "pictures", 40)))
    engine.close()
    fit(folder, folder.read_card(), method="shrink", strength=10)
    push(folder, folder.read_card(), settings)
    return made


def out_of_focus(folder: Path, count: int) -> Path:
    """The table of so many postcards of the pack, blurred: a look that the CLIP hardly reads."""
    folder.mkdir()
    rows = rows_of("postcards", "train")[:count]
    for row in rows:
        with Image.open(SAMPLE_PACK / "postcards" / row["image"]) as picture:
            row["image"] = Path(row["image"]).name
            picture.convert("RGB").filter(ImageFilter.GaussianBlur(3)).save(folder / row["image"])
    table = folder / "captions.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)))
    return table


def rows_of(collection: str, split: str) -> list[dict[str, Any]]:
    """The rows of a split of the pack."""
    lines = (SAMPLE_PACK / collection / "captions.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["split"] == split]


@pytest.fixture
def mapped_home(remapped: Path) -> Iterator[Path]:
    yield remapped
    st.cache_resource.clear()  # the engine over this home


def rankings(page: AppTest) -> dict[str, Any]:
    """What the element with both rankings was given."""
    assert not page.exception
    (found,) = [
        element.proto
        for element in page.get("bidi_component")
        if element.proto.component_name == "mrag_rankings"
    ]
    data: dict[str, Any] = json.loads(found.json)
    return data


def texts(page: AppTest, side: int) -> list[str]:
    return [item["text"] for item in rankings(page)["sides"][side]["items"]]


def held_out(collection: str) -> Path:
    image: str = rows_of(collection, "test")[0]["image"]
    return SAMPLE_PACK / collection / image


def test_the_page_shows_a_comparison_before_anything_is_asked(
    open_page: OpenPage, mapped_home: Path
) -> None:
    page = open_page(PAGE, at=mapped_home, collection="postcards")
    shown = rankings(page)
    assert [side["name"] for side in shown["sides"]] == [
        "By plain CLIP (raw)",
        "By meaning (mapped)",
    ]
    assert len(texts(page, 0)) == len(texts(page, 1)) == 5
    assert "the best of this picture's own captions" in shown["verdict"]
    assert "the map was fitted on it" in shown["verdict"]  # all of this home is training
    assert shown["asked"]["image"]
    assert not page.error


def figure(page: AppTest) -> list[dict[str, Any]]:
    """The bars at the top of the page."""
    (found,) = [
        element.proto
        for element in page.get("bidi_component")
        if element.proto.component_name == "mrag_figure"
    ]
    bars: list[dict[str, Any]] = json.loads(found.json)["bars"]
    return bars


def test_the_page_leads_with_what_the_map_is_worth_here(
    open_page: OpenPage, mapped_home: Path
) -> None:
    page = open_page(PAGE, at=mapped_home, collection="postcards")
    mapped, raw = figure(page)
    assert page.header[0].value.startswith(
        f"{mapped['told']} of pictures find their own caption first, {raw['told']} without the map"
    )
    assert mapped["share"] > raw["share"]
    said = next(one.value for one in page.caption if "Measured on" in one.value)
    assert "40 pictures and 200 captions of theirs" in said
    assert "fitted on some of these pairs" in said


def test_without_a_map_the_figure_says_so(open_page: OpenPage) -> None:
    page = open_page(PAGE, collection="plain")
    assert "no map was better than none" in page.header[0].value
    assert [bar["best"] for bar in figure(page)] == [False, False]


def test_where_the_map_makes_no_difference_a_collection_is_offered_where_it_does(
    open_page: OpenPage, mapped_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.compare.gap.CLEAR", 0.5)  # few as the pictures here are
    page = open_page(PAGE, at=mapped_home, collection="plain")
    (way,) = [one for one in page.button if one.label.startswith("A clear difference: postcards")]
    page = way.click().run()
    mapped, raw = figure(page)
    assert f"{mapped['told']} with the map, {raw['told']} without" in way.label
    assert "postcards" in page.query_params["collection"]
    assert not any(one.label.startswith("A clear difference") for one in page.button)


def test_the_page_opens_where_the_map_changes_the_answer(
    open_page: OpenPage, mapped_home: Path
) -> None:
    page = open_page(PAGE, at=mapped_home, collection="postcards")
    raw, mapped = rankings(page)["sides"]
    assert "right at rank 1" in {raw["right"], mapped["right"]}
    assert raw["right"] != mapped["right"]
    assert rankings(page)["winner"] in {"raw", "mapped"}
    assert any("where the map changes the answer" in one.value for one in page.markdown)


def test_the_others_come_in_turn_and_begin_again(open_page: OpenPage, mapped_home: Path) -> None:
    page = open_page(PAGE, at=mapped_home, collection="postcards")
    first, seen = samples(page), set(samples(page))
    for _ in range(10):
        (others,) = [button for button in page.button if button.label == "Others"]
        others.click().run()
        if samples(page) == first:
            break
        assert seen.isdisjoint(samples(page))
        seen |= set(samples(page))
    assert samples(page) == first
    assert len(seen) == 40


def samples(page: AppTest) -> list[str]:
    """The ids of the pictures that are offered."""
    return [
        card["id"]
        for element in page.get("bidi_component")
        if element.proto.component_name == "mrag_grid"
        for card in json.loads(element.proto.json)["cards"]
    ]


def test_words_find_the_picture_that_is_so_described(
    open_page: OpenPage, mapped_home: Path
) -> None:
    page = open_page(PAGE, at=mapped_home, collection="postcards", by="words")
    words = page.text_input(key="words")
    assert words.value
    assert rankings(page)["asked"] == {"words": words.value}
    assert words.value in texts(page, 1)
    assert "exactly this caption" in rankings(page)["verdict"]
    marked = [item for item in rankings(page)["sides"][1]["items"] if item["right"]]
    assert marked


def test_words_of_which_nothing_is_known_say_so(open_page: OpenPage, mapped_home: Path) -> None:
    page = open_page(PAGE, at=mapped_home, collection="postcards", by="words")
    page.text_input(key="words").set_value("a purple dream").run()
    assert "nothing is known to be right" in rankings(page)["verdict"]
    assert rankings(page)["sides"][0]["right"] == ""


def test_a_collection_without_a_map_has_no_winner(open_page: OpenPage) -> None:
    page = open_page(PAGE, collection="plain")
    assert rankings(page)["verdict"].startswith("Nobody wins: this collection has no map")
    assert texts(page, 0) == texts(page, 1)
    assert rankings(page)["winner"] is None


def test_no_words_ask_for_some(open_page: OpenPage) -> None:
    page = open_page(PAGE, collection="plain", by="words")
    page.text_input(key="words").set_value("   ").run()
    assert "Type what the pictures should show" in page.info[0].value


def test_both_sides_have_as_many_as_asked_for(open_page: OpenPage) -> None:
    page = open_page(PAGE, collection="plain")
    page.slider(key="k").set_value(8).run()
    assert len(texts(page, 0)) == len(texts(page, 1)) == 8
    assert "of 8 in common" in rankings(page)["agreement"]


def test_what_moved_is_noted_beside_it(open_page: OpenPage, mapped_home: Path) -> None:
    page = open_page(PAGE, at=mapped_home, collection="postcards", by="words")
    shown = rankings(page)
    of_mapped = {item["id"]: item for item in shown["sides"][1]["items"]}
    for rank, item in enumerate(shown["sides"][0]["items"]):
        if item["id"] in of_mapped:
            moved = of_mapped[item["id"]]
            steps = rank - shown["sides"][1]["items"].index(moved)
            said = {0: "same rank as raw"}.get(
                steps, f"{'up' if steps > 0 else 'down'} by {abs(steps)}"
            )
            assert moved["said"] == said
        else:
            assert item["kind"] == "gone"
            assert item["said"].startswith("in mapped ")


def test_an_uploaded_picture_is_compared_and_a_pick_takes_over(
    open_page: OpenPage, mapped_home: Path
) -> None:
    page = open_page(PAGE, at=mapped_home, collection="postcards")
    before = rankings(page)["asked"]
    picked = found_pictures(page)[0]
    new = held_out("postcards")
    page.file_uploader(key="compare file").set_value((new.name, new.read_bytes(), "image/webp"))
    page.run()
    assert rankings(page)["asked"] != before
    assert "nothing is known to be right" in rankings(page)["verdict"]
    page.query_params["picture"] = picked
    page.run()
    assert "the best of this picture's own captions" in rankings(page)["verdict"]


def found_pictures(page: AppTest) -> list[str]:
    page.segmented_control(key="find").set_value("pictures").run()
    found = [item["id"] for item in rankings(page)["sides"][0]["items"]]
    page.segmented_control(key="find").set_value("captions").run()
    return found


def test_a_picture_that_was_found_can_be_asked_with(open_page: OpenPage) -> None:
    page = open_page(PAGE, collection="plain", by="words")
    page.session_state["compare next"] = rankings(page)["sides"][0]["items"][2]["id"]
    page.run()
    assert page.session_state["by"] == "a picture"
    assert rankings(page)["asked"]["image"]


def test_a_corrupt_upload_says_what_to_do_and_the_next_one_works(open_page: OpenPage) -> None:
    page = open_page(PAGE, collection="plain")
    uploader = page.file_uploader(key="compare file")
    uploader.set_value(("broken.png", b"\x89PNG\r\n\x1a\nnothing", "image/png")).run()
    assert len(page.error) == 1
    assert "Traceback" not in page.error[0].value
    new = held_out("plain")
    uploader.set_value((new.name, new.read_bytes(), "image/webp")).run()
    assert not page.error
    assert texts(page, 0)


def test_the_gap_is_shown_with_numbers_and_alternatives(open_page: OpenPage) -> None:
    page = open_page(PAGE, collection="plain")
    charts = [element.proto for element in page.get("vega_lite_chart")]
    assert len(charts) == 4
    assert all(chart.alt for chart in charts)
    (numbers,) = page.table
    assert list(numbers.value.columns) == [
        "Measured",
        "By plain CLIP (raw)",
        "By meaning (mapped)",
    ]
    assert "same axes and one scale" in page.caption[-1].value


def test_what_lacks_captions_or_pictures_is_told_so(open_page: OpenPage, tmp_path: Path) -> None:
    engine = build_engine(Settings(home=tmp_path, profile="sample", device="cpu"))
    fill(engine, "texts", open_captions(SAMPLE_PACK / "memory.txt", limit=60))
    fill(engine, "photos", open_source(SAMPLE_PACK / "plain" / "images", limit=4))
    engine.close()
    page = open_page(PAGE, at=tmp_path, collection="texts")
    assert "Give one of yours" in page.info[0].value
    new = held_out("plain")
    page.file_uploader(key="compare file").set_value((new.name, new.read_bytes(), "image/webp"))
    page.run()
    assert "whose memory is this one" in page.error[0].value.replace("\\", "")
    page = open_page(PAGE, at=tmp_path, collection="photos", find="pictures")
    assert len(texts(page, 1)) == 3  # all but the one that is asked with
    assert not page.get("vega_lite_chart")
    st.cache_resource.clear()


@pytest.mark.parametrize("by", ["words", "a picture"])
def test_captions_are_never_read_as_markup(open_page: OpenPage, by: str) -> None:
    page = open_page(PAGE, collection="plain", by=by)
    if by == "words":
        page.text_input(key="words").set_value("<script>alert(1)</script> **bold**").run()
        assert rankings(page)["asked"]["words"] == "<script>alert(1)</script> **bold**"
    said = " ".join(element.value for element in (*page.markdown, *page.caption))
    assert not any(text in said for text in texts(page, 0))
    assert "<script>" not in said
