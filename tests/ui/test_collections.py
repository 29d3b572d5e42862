"""The page Collections: look, fill in the background, delete."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox

from engine.settings import SAMPLE_PACK
from tests.hub import ModelHub, Weather
from tests.ui.conftest import AUTH, OpenPage, elements
from tests.worlds import copied_tree
from ui.shared.resources import jobs

PAGE = "ui/collections/collections.py"
PICTURES = sorted((SAMPLE_PACK / "plain" / "images").glob("*.webp"))[:3]


@pytest.fixture
def own(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own with one collection, and a folder beside it that may be read."""
    copied_tree(home / "collections" / "postcards", tmp_path / "home/collections/postcards")
    (tmp_path / "allowed" / "trip").mkdir(parents=True)
    for path in PICTURES:
        shutil.copy(path, tmp_path / "allowed" / "trip")
    monkeypatch.setenv("MRAG_SOURCE_ROOT", str(tmp_path / "allowed"))
    return tmp_path / "home"


def packed(*names: str) -> tuple[str, bytes, str]:
    """An upload of the pictures, under these names."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for path, name in zip(PICTURES, names, strict=False):
            zipped.write(path, name)
    return ("My trip.zip", buffer.getvalue(), "application/zip")


def press(page: AppTest, label: str) -> AppTest:
    return next(button for button in page.button if button.label == label).click().run()


def all_ended(page: AppTest) -> AppTest:
    """The page once nothing runs any more."""
    for _ in range(3000):
        if not any(job.is_active for job in jobs().all()):
            return page.run()
        Event().wait(0.01)
    raise AssertionError("the ingest does not end")


def metrics(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def written(page: AppTest) -> str:
    return "\n".join(element.value for element in (*page.markdown, *page.caption, *page.code))


def labelled(page: AppTest, label: str) -> Selectbox[str]:
    return next(box for box in page.selectbox if box.label == label)


def keyed(elements: Iterable[Any], start: str) -> Any:
    """The one whose key begins so: forms that have been sent get keys of another number."""
    return next(element for element in elements if str(element.key).startswith(start))


def fill_in(page: AppTest, name: str, upload: tuple[str, bytes, str] | None = None) -> AppTest:
    keyed(page.text_input, "new name").set_value(name)
    if upload:
        keyed(page.file_uploader, "new zip").set_value(upload)
    page.run()
    return cast(AppTest, keyed(page.button, "new sent").click().run())


def chosen(page: AppTest) -> str:
    """The collection that the page is about."""
    return str(page.sidebar.selectbox(key="collection").value)


def choose(page: AppTest, name: str) -> AppTest:
    return page.sidebar.selectbox(key="collection").set_value(name).run()


def spare(own: Path, name: str, made: str = "") -> None:
    """Another collection in the home, a copy of `postcards`, made at this time."""
    copy = copied_tree(own / "collections" / "postcards", own / "collections" / name)
    card = json.loads((copy / "collection.json").read_text())
    (copy / "collection.json").write_text(json.dumps({**card, "name": name, "made": made}))


def test_it_shows_what_a_collection_holds(open_page: OpenPage) -> None:
    page = open_page(PAGE, collection="plain")
    told = metrics(page)
    assert (told["Pictures"], told["Captions"]) == ("80", "400")
    assert told["On disk"].endswith("MB")
    assert "128 dimensions" in written(page)
    assert "its own captions" in written(page)
    table = page.table[0].value
    assert {"raw", "centred", "ols"} <= {str(name).split()[0] for name in table["Method"]}


def test_another_one_can_be_chosen_on_the_page_too(open_page: OpenPage) -> None:
    page = open_page(PAGE, collection="plain")
    shelf = next(elements(page, "shelf"))
    assert [(card["name"], card["chosen"], len(card["covers"])) for card in shelf] == [
        ("plain", True, 4),
        ("postcards", False, 4),
    ]
    assert shelf[0]["told"] == "80 pictures · 400 captions"
    choose(page, "postcards")
    assert metrics(page)["Pictures"] == "40"
    assert "postcards" in page.query_params["collection"]


def test_a_zip_becomes_a_collection(open_page: OpenPage, own: Path) -> None:
    page = open_page(PAGE, at=own)
    labelled(page, "Describe pictures with").set_value("postcards")
    page = all_ended(fill_in(page, "trip", packed("a.webp", "b/b.webp", "b/c.webp")))
    assert not page.error
    assert "3 pictures and 0 captions in the collection" in written(page)
    assert "collection postcards" not in written(page)
    assert chosen(page) == "postcards"  # what somebody makes becomes nobody's choice
    choose(page, "trip")
    assert metrics(page)["Pictures"] == "3"
    assert "described from: collection postcards" in written(page)
    assert keyed(page.text_input, "new name").value == ""
    assert "My trip.zip" in written(page).replace("\\", "")
    page = press(page, "Dismiss")
    assert "from My trip" not in written(page)
    assert metrics(page)["Pictures"] == "3"


def test_a_folder_inside_the_root_becomes_a_collection(open_page: OpenPage, own: Path) -> None:
    page = open_page(PAGE, at=own)
    page.segmented_control[0].set_value("A folder of this machine").run()
    folder = labelled(page, "Folder")
    assert folder.options == ["trip"]
    folder.set_value("trip")
    page = all_ended(fill_in(page, "trip"))
    assert "3 pictures and 0 captions in the collection" in written(page)


def test_without_a_root_no_folder_can_be_named(open_page: OpenPage) -> None:
    assert not open_page(PAGE).segmented_control


@pytest.mark.parametrize("name", ["../../evil.webp", "C:/evil.webp"])
def test_a_hostile_zip_is_refused_and_the_next_one_taken(
    open_page: OpenPage, own: Path, name: str
) -> None:
    page = fill_in(open_page(PAGE, at=own), "trip", packed(name))
    assert "outside its own folder" in page.error[0].value
    assert not list(own.parent.rglob("evil*"))
    page = all_ended(fill_in(page, "trip", packed("good.webp")))
    assert not page.error
    assert "1 pictures" in written(page)


def test_what_is_no_zip_is_named(open_page: OpenPage, own: Path) -> None:
    page = fill_in(open_page(PAGE, at=own), "trip", ("a.zip", b"no zip", "application/zip"))
    assert "is no zip archive" in page.error[0].value


def test_what_is_missing_in_the_form_is_named(open_page: OpenPage, own: Path) -> None:
    page = fill_in(open_page(PAGE, at=own), "", packed("a.webp"))
    assert "has no name yet" in page.error[0].value
    page = fill_in(page, "My Trip!", packed("a.webp"))
    assert "not allowed" in page.error[0].value.replace("\\", "")


def test_nothing_can_be_made_of_nothing(open_page: OpenPage, own: Path) -> None:
    """Nor of a zip that is still on its way: a click would be lost."""
    page = open_page(PAGE, at=own)
    (button,) = (one for one in page.button if one.label == "Make the collection")
    assert button.disabled
    assert "Choose a zip" in button.help


def test_a_failed_ingest_says_why_and_its_upload_is_not_kept(
    open_page: OpenPage, own: Path
) -> None:
    page = fill_in(open_page(PAGE, at=own), "trip", packed("a.webp"))
    page = all_ended(page)
    bad = ("bad.zip", packed("a.webp")[1].replace(b"RIFF", b"BAD!"), "application/zip")
    page = all_ended(fill_in(page, "other", bad))
    assert "is damaged" in page.error[0].value
    assert len([button for button in page.button if button.label == "Resume"]) == 1
    page = all_ended(press(page, "Resume"))
    assert "upload it again" in page.error[0].value


def test_files_that_cannot_be_read_are_named_as_text(open_page: OpenPage, own: Path) -> None:
    evil = own.parent / "allowed" / "trip" / "![x](http:/evil.png"
    evil.parent.mkdir(parents=True, exist_ok=True)
    evil.write_bytes(b"no picture")
    page = open_page(PAGE, at=own)
    page.segmented_control[0].set_value("A folder of this machine").run()
    labelled(page, "Folder").set_value("trip")
    page = all_ended(fill_in(page, "trip"))
    assert any("1 could not be read" in expander.label for expander in page.expander)
    assert any("![x](http:" in code.value for code in page.code)
    assert not any("![x](http:" in text.value for text in page.markdown)


def delete_it(page: AppTest, name: str) -> AppTest:
    page.text_input(key=f"confirm {name}").set_value(name).run()
    return press(page, "Delete for good")


@pytest.mark.parametrize("gone", ["postcards", "spare"])
def test_a_collection_is_deleted_once_its_name_is_typed(
    open_page: OpenPage, own: Path, gone: str
) -> None:
    spare(own, "spare")
    page = open_page(PAGE, at=own, collection=gone)
    button = next(one for one in page.button if one.label == "Delete for good")
    assert button.disabled
    page = delete_it(page, gone)
    assert not page.exception
    assert not page.error
    assert not page.warning  # the address does not name it any more
    assert not (own / "collections" / gone).exists()
    assert page.toast[0].value == f"{gone} is deleted."
    (left,) = {"postcards", "spare"} - {gone}
    assert chosen(page) == left
    assert left in page.query_params["collection"]
    assert [card["name"] for card in next(elements(page, "shelf"))] == [left]


def test_a_new_collection_changes_no_address_and_nobody_elses_choice(
    open_page: OpenPage, own: Path
) -> None:
    page = open_page(PAGE, at=own)
    assert "postcards" in page.query_params["collection"]
    spare(own, "a-new-one", made="2999-01-01T00:00:00+00:00")
    assert chosen(open_page(PAGE, at=own)) == "postcards"
    page.run()
    assert chosen(page) == "postcards"


def test_the_form_takes_models_that_are_here_and_names_those_to_be_fetched(
    open_page: OpenPage, own: Path, hub: ModelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.weather["api"] = Weather(404)
    page = open_page(PAGE, at=own)
    st.cache_resource.clear()
    monkeypatch.setenv("MRAG_PROFILE", "fast")  # as it is where nobody sets one
    page = page.run()
    models = labelled(page, "Models")
    assert [name.rpartition(" (")[2] for name in models.options] == [
        "here)",
        "to be fetched first)",
        "to be fetched first)",
    ]
    assert "Used by postcards" in written(page)
    models.select_index(1).run()
    assert "ViT" in written(page)
    assert "the hub cannot be reached now" in written(page)
    labelled(page, "Models").select_index(0).run()
    page = all_ended(fill_in(page, "trip", packed("a.webp")))
    assert not page.error
    assert "1 pictures" in written(page)


def test_what_was_added_leads_to_a_search_in_it(open_page: OpenPage, own: Path) -> None:
    page = all_ended(fill_in(open_page(PAGE, at=own), "trip", packed("a.webp")))
    assert chosen(page) == "postcards"
    link = next(one.proto for one in page.get("page_link") if "trip" in one.proto.query_string)
    assert (link.label, link.page) == ("Search it", "search")
    page.query_params["collection"] = "trip"  # as the link has it
    assert chosen(page.switch_page("ui/search/search.py").run()) == "trip"


@pytest.mark.parametrize(("role", "adds"), [("writers", True), ("readers", False)])
def test_who_may_not_is_offered_nothing_and_told_why(
    open_page: OpenPage, own: Path, monkeypatch: pytest.MonkeyPatch, role: str, adds: bool
) -> None:
    job = all_ended(fill_in(open_page(PAGE, at=own), "trip", packed("a.webp")))
    assert [button for button in job.button if button.label == "Dismiss"]
    monkeypatch.setenv(f"MRAG_{role.upper()}", "a@example.org")
    user = {"is_logged_in": True, "email": "a@example.org"}
    page = open_page(PAGE, at=own, secrets=AUTH, user=user)
    labels = {button.label for button in page.button}
    assert ({"Make the collection", "Dismiss"} <= labels) == adds
    assert not {"Delete for good"} & labels
    assert "Only an admin" in written(page)
    assert ("for the role “write”" in written(page)) == (not adds)


def test_server_places_are_told_to_admins_alone(
    open_page: OpenPage, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = own.parent / "allowed" / "trip" / "bad.png"
    evil.write_bytes(b"no picture")
    page = open_page(PAGE, at=own)
    page.segmented_control[0].set_value("A folder of this machine").run()
    labelled(page, "Folder").set_value("trip")
    page = all_ended(fill_in(page, "trip"))
    assert any(str(evil) in code.value for code in page.code)
    monkeypatch.setenv("MRAG_WRITERS", "a@example.org")
    user = {"is_logged_in": True, "email": "a@example.org"}
    page = open_page(PAGE, at=own, secrets=AUTH, user=user)
    assert any("bad.png: " in code.value for code in page.code)
    assert str(own.parent) not in written(page)


def test_the_last_one_may_go_too(open_page: OpenPage, own: Path) -> None:
    page = open_page(PAGE, at=own)
    page.text_input(key="confirm postcards").set_value("postcards").run()
    page = press(page, "Delete for good")
    assert "There is no collection yet" in page.info[0].value
    assert not page.exception
    page = open_page(at=own)
    assert page.title[0].value == "Pictures into words, words to pictures"
    assert "There is no collection yet" in page.info[0].value


def test_what_another_one_needs_is_not_deleted(open_page: OpenPage, own: Path) -> None:
    page = open_page(PAGE, at=own)
    labelled(page, "Describe pictures with").set_value("postcards")
    page = all_ended(fill_in(page, "trip", packed("a.webp")))
    page.text_input(key="confirm postcards").set_value("postcards").run()
    page = press(page, "Delete for good")
    assert "is the memory of trip" in page.error[0].value
    assert (own / "collections" / "postcards").is_dir()


def test_a_session_whose_collection_is_gone_goes_on(open_page: OpenPage, own: Path) -> None:
    spare(own, "spare")
    page = open_page(PAGE, at=own, collection="spare")
    shutil.rmtree(own / "collections" / "spare")
    page.run()
    assert not page.exception
    assert metrics(page)["Pictures"] == "40"


def test_a_sync_is_looked_at_and_done(open_page: OpenPage, own: Path) -> None:
    allowed = own.parent / "allowed" / "trip"
    page = open_page(PAGE, at=own)
    page.segmented_control[0].set_value("A folder of this machine").run()
    labelled(page, "Folder").set_value("trip")
    page = choose(all_ended(fill_in(page, "trip")), "trip")
    assert f"- {allowed}" in written(page).replace("\\", "")
    assert metrics(page)["Pictures"] == "3"
    (allowed / PICTURES[0].name).unlink()
    (allowed / PICTURES[1].name).rename(allowed / "moved.webp")
    page = press(page, "See what changed")
    assert "Pictures: 0 new, 0 changed, 1 moved, 1 gone; 1 unchanged." in written(page)
    assert f"gone: {allowed / PICTURES[0].name}" in written(page)
    assert metrics(page)["Pictures"] == "3"
    page = all_ended(press(page, "Sync"))
    assert metrics(page)["Pictures"] == "2"
    shutil.rmtree(allowed)
    page = press(page, "See what changed")
    assert any("may not be mounted" in warning.value for warning in page.warning)


def test_where_no_source_is_known_the_remedy_is_told(open_page: OpenPage, own: Path) -> None:
    page = open_page(PAGE, at=own)
    assert "Add the same folder once more" in written(page)
    assert not [button for button in page.button if button.label == "Sync"]
