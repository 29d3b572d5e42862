"""The page Search without a browser: what it finds, what its address says, what it refuses."""

from __future__ import annotations

import json
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image
from streamlit import config
from streamlit.testing.v1 import AppTest

from corpus.records import ImageRecord
from engine.app import build_engine
from engine.settings import SAMPLE_PACK, Settings
from tests.ui.conftest import OpenPage, fill
from ui.shared.providers import USER_HEADERS

PAGE = "ui/search/search.py"
PICTURES = sorted((SAMPLE_PACK / "plain" / "images").glob("*.webp"))
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) ![y](http://evil.example/z.png) $x$"


def cards(page: AppTest) -> list[dict[str, Any]]:
    """What the grid of pictures was given."""
    return [
        card
        for element in page.main.get("bidi_component")
        for card in _data(element).get("cards", ())
    ]


def _data(element: Any) -> dict[str, Any]:
    data = json.loads(element.proto.json or "{}")
    return data if isinstance(data, dict) else {}


def captions(page: AppTest) -> list[str]:
    return [card["caption"] for card in cards(page)]


def told(page: AppTest) -> str:
    """All that the page says beside its grid and its side panel."""
    kinds = (page.warning, page.error, page.info, page.main.caption)
    return "\n".join(element.value for kind in kinds for element in kind)


def address(page: AppTest) -> dict[str, Any]:
    """The search of the address; beside it the address names the collection."""
    found = {name: value for name, value in page.query_params.items() if value}
    assert found.pop("collection", "") in page.sidebar.selectbox(key="collection").options
    return found


def ids(page: AppTest) -> list[str]:
    return [card["id"] for card in cards(page)]


@pytest.fixture
def found(open_page: OpenPage) -> AppTest:
    return open_page(PAGE, q="two cars on a road", space="mapped")


def test_without_a_search_pictures_are_offered_to_begin_with(open_page: OpenPage) -> None:
    page = open_page(PAGE)
    assert not page.exception
    assert len(cards(page)) == 12
    assert "Type what to look for" in told(page)


def test_how_pictures_were_found_is_told_to_those_who_ask(open_page: OpenPage) -> None:
    for asked in ({"q": "two cars on a road", "space": "mapped"}, {"q": "tag:road"}):
        page = open_page(PAGE, **asked)
        assert not any("steps" in _data(one) for one in page.main.get("bidi_component"))
        page.session_state["search made"] = True
        page.run()
        (made,) = [
            data for one in page.main.get("bidi_component") if "steps" in (data := _data(one))
        ]
        retrieved = next(one for one in made["steps"] if one["stage"].startswith("retrieve"))
        assert all(".webp: " in move["item"] for move in retrieved["moves"])


def test_words_find_pictures_best_first(found: AppTest) -> None:
    assert not found.exception
    assert "Pictures 1 to 24, best first" in told(found)
    scores = [float(card["score"]) for card in cards(found)]
    assert scores == sorted(scores, reverse=True)
    assert all(card["image"] for card in cards(found))


def test_words_are_looked_for_where_this_collection_answers_best(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="snow")
    assert page.sidebar.radio(key="search space").value == ""
    said = "\n".join(one.value for one in (*page.sidebar.caption, *page.sidebar.markdown))
    assert "Best here: **by all together (fused)**" in said
    assert "none of them" not in said  # all of this home is training
    assert "the map was fitted on them" in said
    (figures,) = page.sidebar.table
    assert list(figures.value.columns) == ["", "one word", "several", "a caption"]
    assert len(figures.value) == 5
    assert address(page) == {"q": "snow"}
    assert "by all together (fused)" in told(page)


def test_mapped_and_raw_are_a_click_away(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="snow")
    for space, said in (("mapped", "by meaning (mapped)"), ("raw", "by plain CLIP (raw)")):
        page.sidebar.radio(key="search space").set_value(space).run()
        assert address(page) == {"q": "snow", "space": space}
        assert said in told(page)
        assert not page.sidebar.table


def test_a_picture_alone_is_looked_for_by_its_likeness(open_page: OpenPage) -> None:
    id_ = ids(open_page(PAGE))[0]
    page = open_page(PAGE, like=id_)
    assert "by meaning (mapped)" in told(page)
    assert not page.sidebar.toggle(key="search likely").value


def test_words_that_no_caption_has_are_said_to_be_found_by_meaning(open_page: OpenPage) -> None:
    assert "No caption here has these words" in told(open_page(PAGE, q="zzyzx"))
    assert "No caption here has these words" not in told(open_page(PAGE, q="snow"))


def examples(page: AppTest) -> list[Any]:
    return [button for button in page.button if str(button.key).startswith("try ")]


def test_examples_of_the_collection_are_searched_by_a_click(open_page: OpenPage) -> None:
    page = open_page(PAGE)
    offered = examples(page)
    assert len(offered) >= 3
    offered[1].click().run()
    assert address(page)["q"] == offered[1].key.removeprefix("try ")
    assert "best first" in told(page)
    assert not examples(page)


def test_nothing_found_offers_what_finds_something(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="zebra", space="words")
    assert "No caption has these words" in told(page)
    examples(page)[0].click().run()
    assert cards(page)


def test_unwanted_words_alone_say_what_is_missing_and_leave_the_pictures(
    open_page: OpenPage,
) -> None:
    page = open_page(PAGE, q="-cat")
    assert not page.error
    assert "“-cat” says what to leave out" in told(page).replace("\\", "")
    assert cards(page)
    assert examples(page)


def test_too_many_characters_are_told_and_stay_to_be_shortened(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="snow")
    before = ids(page)
    page.text_input(key="search q").set_value("snow " * 120).run()
    assert "These are 600 characters, and a search has up to 500" in told(page)
    assert page.text_input(key="search q").value == "snow " * 120
    assert ids(page) == before
    assert "what is shown answers “snow”" in told(page)
    page.text_input(key="search q").set_value("two cars on a road").run()
    assert "characters" not in told(page)
    assert address(page)["q"] == "two cars on a road"


def test_a_search_is_there_again_after_a_visit_to_another_page(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="snow split:train", page="2")
    before = ids(page)
    page.query_params.clear()  # as the browser's address is without them on another page
    page.switch_page("ui/collections/collections.py").run()
    page.switch_page(PAGE).run()
    assert page.text_input(key="search q").value == "snow split:train"
    assert address(page) == {"q": "snow split:train", "page": "2"}
    assert ids(page) == before


def test_a_way_back_that_names_the_open_picture_alone_has_its_search(open_page: OpenPage) -> None:
    first, second, third = ids(open_page(PAGE, q="snow"))[:3]
    for named, words in ((second, "snow"), (third, "")):
        page = open_page(PAGE, q="snow", picture=first)
        page.button(key="opened Next").click().run()
        page.query_params.clear()
        page.switch_page("ui/collections/collections.py").run()
        page.query_params["picture"] = named
        page.switch_page(PAGE).run()
        assert page.text_input(key="search q").value == words
        assert address(page)["picture"] == named


def test_a_search_that_was_emptied_stays_empty(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="snow")
    page.text_input(key="search q").set_value("").run()
    assert "Type what to look for" in told(page)
    page.query_params.clear()
    page.switch_page("ui/collections/collections.py").run()
    page.switch_page(PAGE).run()
    assert page.text_input(key="search q").value == ""


def test_the_large_view_goes_from_picture_to_picture_over_pages(open_page: OpenPage) -> None:
    found = ids(open_page(PAGE, q="snow", k="24"))
    page = open_page(PAGE, q="snow", k="12", picture=found[10])
    for number in (11, 12):
        page.button(key="opened Next").click().run()
        assert address(page)["picture"] == found[number]
    assert address(page)["page"] == "2"
    assert ids(page)[0] == found[12]
    page.button(key="opened Previous").click().run()
    assert address(page) == {"q": "snow", "k": "12", "picture": found[11]}
    page = open_page(PAGE, q="snow", k="12", picture=found[0])
    assert page.button(key="opened Previous").disabled


def test_typing_words_writes_them_into_the_address(open_page: OpenPage) -> None:
    page = open_page(PAGE, page="2", q="snow")
    page.text_input(key="search q").set_value("a dog +beach").run()
    assert address(page) == {"q": "a dog +beach"}
    assert not page.exception


def test_the_address_restores_the_whole_search(open_page: OpenPage) -> None:
    asked = {"q": "snow split:train", "space": "raw", "k": "12", "page": "2"}
    page = open_page(PAGE, **asked)
    assert page.text_input(key="search q").value == "snow split:train"
    assert page.sidebar.radio(key="search space").value == "raw"
    assert page.sidebar.multiselect(key="filter split").value == ["train"]
    assert page.sidebar.selectbox(key="search sort").value == "relevance"
    assert page.sidebar.selectbox(key="search k").value == 12
    assert "Pictures 13 to" in told(page)
    first = open_page(PAGE, **(asked | {"page": "1"}))
    assert not set(ids(first)) & set(ids(page))
    page = open_page(PAGE, q="snow", likely="1", sort="oldest")
    assert page.sidebar.toggle(key="search likely").value
    assert page.sidebar.selectbox(key="search sort").value == "oldest"


def test_another_address_shows_another_search(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="snow")
    before = ids(page)
    page.query_params["q"] = "two cars on a road"
    page.run()
    assert page.text_input(key="search q").value == "two cars on a road"
    assert ids(page) != before


def test_unwanted_words_move_away(open_page: OpenPage) -> None:
    with_snow = captions(open_page(PAGE, q="a picture of snow"))
    without = captions(open_page(PAGE, q="a picture -snow"))
    assert "snow" in " ".join(with_snow[:6])
    assert "snow" not in " ".join(without[:6])


def test_quotes_that_do_not_end_are_named_and_nothing_is_searched(open_page: OpenPage) -> None:
    page = open_page(PAGE, q='a picture -"snow')
    assert "not closed" in page.error[0].value
    assert not cards(page)


def test_matched_words_are_marked(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="snow", space="words")
    assert all({"snow", "snowy"} & set(card["marked"]) for card in cards(page))


def headings(page: AppTest) -> list[str]:
    return [one.value for one in page.main.subheader]


def test_what_is_likely_stands_above_what_is_less_so(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="snow", space="fused")
    assert not page.exception
    above = int(headings(page)[0].removeprefix("Likely (").removesuffix(")"))
    assert headings(page)[1:] == ["Less likely"]
    assert 0 < above < len(cards(page)) == 24
    assert all("snow" in card["caption"] for card in cards(page)[:above])
    page.sidebar.toggle(key="search likely").set_value(True).run()
    assert address(page)["likely"] == "1"
    assert len(cards(page)) == above
    assert len(headings(page)) == 1


def test_pages_go_on_among_what_is_less_likely(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="two cars on a road", space="fused", k="12", page="3")
    assert headings(page) == ["Less likely"]
    assert "Pictures 25 to 36" in told(page)


def test_what_is_not_there_is_said_not_to_be(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="a spaceship", space="mapped")
    assert "Nothing here is likely what you asked for" in told(page)
    assert headings(page) == ["Less likely"]
    page.sidebar.toggle(key="search likely").set_value(True).run()
    assert not cards(page)
    assert "Nothing here is likely" in told(page)
    page.sidebar.selectbox(key="search sort").set_value("newest").run()
    assert "have the best first, which shows what is less likely" in told(page)


def test_plain_clip_ranks_as_it_does(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="two cars on a road", space="raw", strict="98")
    assert not page.exception
    assert not headings(page)
    scores = [float(card["score"]) for card in cards(page)]
    assert scores == sorted(scores, reverse=True)


def test_pages_follow_each_other(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="snow", k="48")
    assert page.button(key="Previous top").disabled
    page.button(key="Next top").click().run()
    assert address(page)["page"] == "2"
    assert "Pictures 49 to 80" in told(page)
    assert page.button(key="Next bottom").disabled
    page.button(key="Previous bottom").click().run()
    assert "Pictures 1 to 48" in told(page)


def test_beyond_the_last_page_there_is_a_way_back(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="snow", page="50")
    assert "no such page" in told(page)
    page.button[-1].click().run()
    assert "Pictures 1 to" in told(page)


def test_nothing_found_says_what_to_do(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="zebra", space="words", split="train")
    assert "use other words or take filters away or look by meaning instead" in told(page)
    (by_meaning,) = [button for button in page.button if button.label.startswith("Look by meaning")]
    by_meaning.click().run()
    assert address(page)["space"] == "mapped"


def test_a_filter_offers_what_there_is_and_is_written_into_what_is_typed(
    open_page: OpenPage,
) -> None:
    page = open_page(PAGE, q="snow -cat", page="2")
    assert page.sidebar.multiselect(key="filter split").options == ["train (80)"]
    assert not [one for one in page.sidebar.multiselect if one.label in {"Tag", "Camera", "Place"}]
    assert not page.sidebar.date_input
    page.sidebar.multiselect(key="filter split").set_value(["train"]).run()
    assert address(page) == {"q": "snow -cat split:train"}
    assert page.text_input(key="search q").value == "snow -cat split:train"
    page.sidebar.multiselect(key="filter split").set_value([]).run()
    assert address(page) == {"q": "snow -cat"}


def chosen(page: AppTest) -> list[str]:
    """The filters that are shown as buttons which take them away."""
    return [
        one.label.replace("\\", "") for one in page.button if str(one.key).startswith("without ")
    ]


def test_what_is_typed_stands_in_the_panel_and_can_be_taken_away(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="snow Split:train -ext:gif by:human")
    assert page.sidebar.multiselect(key="filter split").value == ["train"]
    assert page.sidebar.multiselect(key="filter by").value == ["human"]
    assert page.sidebar.multiselect(key="filter ext").value == []
    assert chosen(page) == ["split:train", "-ext:gif", "by:human"]
    page.button(key="without 2 -ext:gif").click().run()
    assert address(page) == {"q": "snow split:train by:human"}
    (clear,) = [one for one in page.button if one.label == "Clear all"]
    clear.click().run()
    assert address(page) == {"q": "snow"}
    assert not chosen(page)


def test_a_filter_that_finds_nothing_says_what_there_is(open_page: OpenPage) -> None:
    for q in ("snow split:nosuch", "split:nosuch"):
        page = open_page(PAGE, q=q)
        assert not page.exception
        assert not cards(page)
        said = told(page).replace("\\", "")
        assert "No picture here has split:nosuch; there is split:train" in said
        assert page.sidebar.multiselect(key="filter split").value == ["nosuch"]


def test_what_cannot_be_read_is_marked_and_nothing_is_searched(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="snow after:May [x](http://evil.example) ")
    said = page.error[0].value
    assert "2024" in said
    assert ":orange-background[**after\\:May**]" in said
    assert "](http" not in said
    assert not cards(page)
    assert not page.sidebar.multiselect
    page.text_input(key="search q").set_value("snow after:2020").run()
    assert not page.error
    assert page.sidebar.multiselect


def test_what_may_have_been_meant_for_a_filter_is_said(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="snow keywords:sea")
    assert "tag: is a filter" in told(page).replace("\\", "")
    assert cards(page)


def test_filters_alone_show_pictures_by_date_page_by_page(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="split:train", k="48")
    assert "Pictures 1 to 48, newest first" in told(page)
    page.button(key="Next top").click().run()
    assert "Pictures 49 to 80, newest first" in told(page)
    assert len(cards(page)) == 32
    page.sidebar.selectbox(key="search sort").set_value("oldest").run()
    assert address(page) == {"q": "split:train", "k": "48", "sort": "oldest"}
    assert "oldest first" in told(page)
    page.text_input(key="search q").set_value("").run()  # all of them, oldest first
    assert "Pictures 1 to 48, oldest first" in told(page)


def test_more_than_a_search_holds_cannot_be_chosen_and_is_told(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="snow " * 98)
    page.sidebar.multiselect(key="filter split").set_value(["train"]).run()
    assert "a search has up to 500" in told(page)
    assert address(page)["q"].split() == ["snow"] * 98


def test_an_uploaded_picture_finds_itself(open_page: OpenPage) -> None:
    page = open_page(PAGE)
    page.file_uploader[0].upload("mine.webp", PICTURES[0].read_bytes(), "image/webp").run()
    assert not page.exception
    assert "It is not in the address" in told(page)
    assert float(cards(page)[0]["score"]) > 0.99
    page.button(key="forget the uploaded picture").click().run()
    assert "Type what to look for" in told(page)


def test_a_damaged_upload_is_told_and_the_next_one_works(open_page: OpenPage) -> None:
    page = open_page(PAGE)
    page.file_uploader[0].upload("bad.jpg", b"\xff\xd8\xff nothing", "image/jpeg").run()
    assert not page.exception
    assert "bad.jpg: cannot be decoded" in told(page).replace("\\", "")
    page.file_uploader[0].upload("good.webp", PICTURES[0].read_bytes(), "image/webp").run()
    assert not page.error
    assert cards(page)


def test_more_like_a_picture_without_itself(open_page: OpenPage) -> None:
    id_ = ids(open_page(PAGE))[0]
    page = open_page(PAGE, picture=id_)
    (more,) = [button for button in page.button if button.label == "More like this"]
    more.click().run()
    assert address(page)["like"] == id_
    assert "picture" not in address(page)
    assert "Like this one" in told(page)
    assert id_ not in ids(page)
    page.button(key="forget like 1").click().run()
    assert "like" not in address(page)


@pytest.mark.parametrize(
    ("asked", "remedy"),
    [
        ({"q": "dog", "k": "1e9"}, "a page has 12"),
        ({"q": "dog", "page": "-1"}, "pages go from 1"),
        ({"q": "dog", "space": "<script>"}, "choose one of raw"),
        ({"like": "not-a-uuid"}, "open a picture"),
        ({"like": "00000000-0000-0000-0000-000000000000"}, "may have been removed"),
        ({"picture": "00000000-0000-0000-0000-000000000000"}, "may have been removed"),
        ({"q": "dog", "split": "nosuch"}, "there is split:train"),
        ({"q": "-dog"}, "give words"),
        ({"q": " ".join(["+a"] * 20)}, "leave some out"),
        ({"like": "not-a-uuid", "space": "words", "q": "-dog"}, "open a picture"),
    ],
)
def test_hostile_addresses_are_refused_with_a_remedy(
    open_page: OpenPage, asked: dict[str, str], remedy: str
) -> None:
    page = open_page(PAGE, **asked)
    assert not page.exception
    said = told(page).replace("\\", "")
    assert remedy in said
    assert "Traceback" not in said


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three pictures: tagged, dated, and one with a hostile caption and name."""
    home = tmp_path_factory.mktemp("album-home")
    engine = build_engine(Settings(home=home, profile="sample", device="cpu"))
    records = []
    for number, (name, caption, tags) in enumerate(
        [("a", "a dog", ("pets",)), ("b", "a tree", ()), ("**b** <img src=x>", HOSTILE, ("<b>",))]
    ):
        path = home / f"{name}.jpg"
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = (
            f"202{number}:05:06 07:08:09"
        )
        exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "<b>Firm</b>", "No 1"
        exif[ExifTags.Base.Rating] = 4
        place = {1: "N", 2: (38.0, 42.0, 40.32), 3: "W", 4: (9.0, 7.0, 39.72)}
        exif.get_ifd(ExifTags.IFD.GPSInfo).update(place)
        Image.open(PICTURES[number]).convert("RGB").save(path, exif=exif)
        records.append(ImageRecord(name, str(path), path, (caption,), tags=tags))
    fill(engine, "album", records)
    engine.close()
    return home


def test_tags_and_days_filter_where_there_are_any(open_page: OpenPage, album: Path) -> None:
    page = open_page(PAGE, at=album, q="a dog")
    assert len(cards(page)) == 3
    tags = page.sidebar.multiselect(key="filter tag")
    assert tags.options == ["<b> (1)", "pets (1)"]
    tags.set_value(["pets"]).run()
    assert captions(page) == ["a dog"]
    assert address(page)["q"] == "a dog tag:pets"
    tags = page.sidebar.multiselect(key="filter tag")  # the others can be taken beside it
    assert tags.options == ["<b> (1)", "pets (1)"]
    tags.set_value(["pets", "<b>"]).run()
    assert address(page)["q"] == 'a dog tag:pets tag:"<b>"'
    assert len(cards(page)) == 2
    page.sidebar.date_input(key="filter after").set_value(date(2021, 1, 1)).run()
    assert address(page)["q"] == 'a dog tag:pets tag:"<b>" after:2021-01-01'
    assert captions(page) == [HOSTILE]


def test_a_count_that_has_changed_is_no_part_of_what_is_chosen(
    open_page: OpenPage, album: Path
) -> None:
    """Browsers send the labels that they were given, and those may be of an earlier count."""
    page = open_page(PAGE, at=album, q="a dog")
    page.sidebar.multiselect(key="filter tag").set_value(["pets (7)"]).run()
    rating = page.sidebar.selectbox(key="filter rating")
    rating.options = ["★★ or more (7)"]
    rating.set_value(rating.options[0]).run()
    assert address(page)["q"] == "a dog tag:pets rating:2"
    page.sidebar.multiselect(key="filter tag").set_value(["pets (5)"])
    page.sidebar.selectbox(key="search k").set_value(12).run()
    assert address(page)["q"] == "a dog tag:pets rating:2"


def test_what_words_find_is_ordered_by_date_where_that_is_asked(
    open_page: OpenPage, album: Path
) -> None:
    for sort, years in (("newest", ["2022", "2021", "2020"]), ("oldest", ["2020", "2021", "2022"])):
        page = open_page(PAGE, at=album, q="a dog", sort=sort)
        assert [card["score"][:4] for card in cards(page)] == years
        assert f"{sort} first" in told(page)


def test_days_are_typed_or_chosen(open_page: OpenPage, album: Path) -> None:
    page = open_page(PAGE, at=album, q="a dog after:2020-05-07")
    assert sorted(captions(page)) == sorted(["a tree", HOSTILE])
    page = open_page(PAGE, at=album, q="before:2021 after:1999-02")  # earlier than any
    assert page.sidebar.date_input(key="filter after").value == date(1999, 2, 1)
    assert page.sidebar.date_input(key="filter before").value == date(2021, 12, 31)
    assert captions(page) == ["a tree", "a dog"]
    assert [card["score"] for card in cards(page)] == ["2021-05-06", "2020-05-06"]
    page.sidebar.selectbox(key="search sort").set_value("oldest").run()
    assert captions(page) == ["a dog", "a tree"]


def test_an_opened_picture_shows_captions_and_facts_as_plain_text(
    open_page: OpenPage, album: Path
) -> None:
    page = open_page(PAGE, at=album, q="a dog")
    (id_,) = [card["id"] for card in cards(page) if card["caption"] == HOSTILE]
    page = open_page(PAGE, at=album, q="a dog", picture=id_)
    assert not page.exception
    shown = "\n".join(one.value for one in (*page.markdown, *page.caption))
    assert "<script>" not in shown
    assert "](javascript" not in shown
    assert "taken 2022\\-05\\-06 07\\:08" in shown
    assert "**b**" not in shown
    assert "<b>Firm" not in shown
    assert "No 1" in shown
    assert "rated 4 of 5" in shown
    assert "Lisbon" in shown
    assert "38\\.71120" in shown
    assert page.get("imgs") or page.get("image")


def test_coordinates_are_told_to_those_alone_who_may_know_where_files_lie(
    open_page: OpenPage, album: Path
) -> None:
    id_ = cards(open_page(PAGE, at=album, q="a dog", strict="0"))[0]["id"]
    reader = {"mrag_visitor": json.dumps({"name": "jo", "role": "read", "by": "sign-in"})}
    before = config.get_option("server.trustedUserHeaders")
    config.set_option("server.trustedUserHeaders", USER_HEADERS)
    try:
        page = open_page(PAGE, at=album, q="a dog", strict="0", picture=id_, user=reader)
    finally:
        config.set_option("server.trustedUserHeaders", before)
    shown = "\n".join(one.value for one in (*page.markdown, *page.caption))
    assert "Lisbon" in shown
    assert "71120" not in shown


def test_pictures_whose_files_are_gone_are_still_found_and_told_so(
    open_page: OpenPage, tmp_path: Path
) -> None:
    path = tmp_path / "pictures" / "one.webp"
    path.parent.mkdir()
    path.write_bytes(PICTURES[0].read_bytes())
    engine = build_engine(Settings(home=tmp_path, profile="sample", device="cpu"))
    fill(engine, "gone", [ImageRecord("one", str(path), path, ("a dog",))])
    engine.close()
    path.unlink()
    page = open_page(PAGE, at=tmp_path, q="a dog")
    (card,) = cards(page)
    assert card["image"]
    page = open_page(PAGE, at=tmp_path, q="a dog", picture=card["id"])
    assert "has been moved or removed" in page.warning[0].value
    page = open_page("ui/compare/compare.py", at=tmp_path)  # its vector is in the index
    assert not page.error


def test_an_empty_collection_says_what_to_do(open_page: OpenPage, tmp_path: Path) -> None:
    engine = build_engine(Settings(home=tmp_path, profile="sample", device="cpu"))
    path = tmp_path / "one.png"
    Image.open(BytesIO(PICTURES[0].read_bytes())).save(path)
    fill(engine, "one", [ImageRecord("one", str(path), path, ("a dog",))])
    opened = engine.open("one")
    opened.images.delete(list(opened.images.ids()))
    engine.close()
    page = open_page(PAGE, at=tmp_path)
    assert not page.exception
    assert "add pictures to it on the page Collections" in told(page)


def test_the_best_are_put_in_another_order_where_the_address_says_so(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="two cars on a road", space="mapped", rerank="listwise")
    assert not page.exception
    assert "reranked" in told(page)
    order = page.sidebar.selectbox(key="search rerank")
    assert order.value == "listwise"
    assert "picture" not in order.options  # no model for it is named
    order.set_value("off").run()
    assert "reranked" not in told(page)
    assert "rerank" not in address(page)


def test_by_date_nothing_is_reranked(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="two cars on a road", rerank="listwise", sort="newest")
    assert not page.exception
    assert "reranked" not in told(page)
    assert page.sidebar.selectbox(key="search rerank").disabled


def test_reranking_that_there_is_no_model_for_is_told_with_the_remedy(open_page: OpenPage) -> None:
    page = open_page(PAGE, q="two cars on a road", rerank="picture")
    assert not page.exception
    assert "no model that reranks by picture is named" in told(page)
