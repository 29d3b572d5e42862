"""The frame of the app, without a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit import config
from streamlit.testing.v1 import AppTest

from tests.ui.conftest import AUTH, OpenPage
from tests.worlds import copied_tree
from ui.shared.pictures import escaped
from ui.shared.providers import USER_HEADERS

PAGES = (
    "ui/describe/describe.py",
    "ui/search/search.py",
    "ui/compare/compare.py",
    "ui/collections/collections.py",
    "ui/system/system.py",
)


def shown(page: AppTest) -> str:
    """All that was sent to the browser."""
    return "\n".join(str(getattr(element, "proto", "")) for element in page)


def busy_once() -> None:
    """A page whose models are busy when it is first run."""
    import streamlit as st

    from engine.errors import Busy
    from ui.shared.shell import errors_shown

    with errors_shown():
        if "tried" not in st.session_state:
            st.session_state["tried"] = True
            raise Busy("8 calls wait for <b>; try again in a moment")
        st.write("answered")


def test_a_busy_app_says_so_and_can_be_asked_again() -> None:
    page = AppTest.from_function(busy_once).run()
    assert "try again in a moment" in page.warning[0].value
    assert not page.markdown
    page.button(key="try again").click().run()
    assert not page.warning
    assert page.markdown[0].value == "answered"


def test_the_address_names_the_collection(open_page: OpenPage) -> None:
    page = open_page(collection="postcards")
    assert page.sidebar.selectbox(key="collection").value == "postcards"
    assert "postcards" in page.query_params["collection"]
    assert open_page(collection="none of these").selectbox(key="collection").value == "plain"


def test_the_address_names_the_first_collection_too(open_page: OpenPage) -> None:
    page = open_page()
    assert "plain" in page.query_params["collection"]
    page.sidebar.selectbox(key="collection").set_value("postcards").run()
    page.sidebar.selectbox(key="collection").set_value("plain").run()
    assert "plain" in page.query_params["collection"]


def test_a_collection_that_is_not_there_is_named_and_another_one_shown(open_page: OpenPage) -> None:
    page = open_page("ui/search/search.py", collection="<b>nosuch", q="snow")
    assert not page.exception
    said = page.warning[0].value.replace("\\", "")
    assert "“<b>nosuch”. Choose another one: plain, postcards." in said
    assert page.sidebar.selectbox(key="collection").value == "plain"


def test_the_collection_stays_from_page_to_page(open_page: OpenPage) -> None:
    page = open_page()
    page.sidebar.selectbox(key="collection").set_value("postcards").run()
    page.switch_page("ui/search/search.py").run()
    assert page.sidebar.selectbox(key="collection").value == "postcards"


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_without_an_error(open_page: OpenPage, name: str) -> None:
    page = open_page(name)
    assert not page.exception
    assert not page.error


@pytest.mark.parametrize("name", PAGES)
def test_an_empty_home_is_no_error(open_page: OpenPage, tmp_path: Path, name: str) -> None:
    page = open_page(name, at=tmp_path)
    assert not page.exception
    assert not page.error


def test_an_empty_home_says_what_to_do_next(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(at=tmp_path)
    assert "There is no collection yet" in page.info[0].value
    assert "Make a collection" in shown(page)


def test_a_damaged_collection_is_told_with_its_remedy(
    open_page: OpenPage, home: Path, tmp_path: Path
) -> None:
    broken = copied_tree(home, tmp_path / "home")
    (broken / "collections" / "plain" / "collection.json").write_text("{")
    page = open_page(at=broken)
    assert not page.exception
    (error,) = page.error
    assert "delete that file" in error.value
    page.sidebar.selectbox(key="collection").set_value("postcards").run()
    assert not page.error


def test_settings_that_cannot_be_used_are_told(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRAG_BATCH_SIZE", "0")
    st.cache_resource.clear()
    (error,) = open_page().error
    assert "BATCH" in error.value
    st.cache_resource.clear()


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_seen_before_signing_in(open_page: OpenPage, name: str) -> None:
    page = open_page(name, secrets=AUTH)
    assert not page.exception
    assert [button.label for button in page.button] == ["Sign in"]
    assert not page.selectbox
    assert "postcards" not in shown(page)


def test_after_signing_in_all_is_seen(open_page: OpenPage) -> None:
    page = open_page(secrets=AUTH, user={"is_logged_in": True, "email": "a@example.org"})
    assert page.selectbox(key="collection").value == "plain"
    assert "Sign out" in [button.label for button in page.button]


def test_who_is_on_no_list_sees_nothing_and_may_sign_out(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRAG_READERS", "@example.org")
    page = open_page(secrets=AUTH, user={"is_logged_in": True, "email": "a@evil-example.org"})
    assert [button.label for button in page.button] == ["Sign out"]
    assert not page.selectbox


@pytest.fixture
def behind_a_door() -> Iterator[None]:
    """As `mrag serve` runs the pages: it tells them who looks at them."""
    before = config.get_option("server.trustedUserHeaders")
    config.set_option("server.trustedUserHeaders", USER_HEADERS)
    yield
    config.set_option("server.trustedUserHeaders", before)


@pytest.mark.usefixtures("behind_a_door")
def test_a_page_is_for_whom_the_server_let_in(open_page: OpenPage) -> None:
    key = json.dumps({"name": "bot", "role": "read", "by": "key"})
    page = open_page(user={"mrag_visitor": key})
    assert page.selectbox(key="collection").value == "plain"
    assert "/leave" in shown(page)


@pytest.mark.usefixtures("behind_a_door")
@pytest.mark.parametrize("user", [{}, {"is_logged_in": True, "email": "a@example.org"}])
def test_a_page_that_nobody_was_let_in_to_shows_nothing(
    open_page: OpenPage, user: dict[str, object]
) -> None:
    page = open_page(secrets=AUTH, user=user)
    assert not page.selectbox
    assert "postcards" not in shown(page)


@pytest.mark.parametrize("address", [None, "0.0.0.0", "192.168.1.5"])
def test_without_a_door_the_pages_are_for_this_machine(
    open_page: OpenPage, address: str | None
) -> None:
    before = config.get_option("server.address")
    config.set_option("server.address", address)
    try:
        page = open_page()
    finally:
        config.set_option("server.address", before)
    assert "mrag serve" in page.error[0].value
    assert not page.selectbox


def test_named_providers_are_offered(open_page: OpenPage) -> None:
    auth = {name: value for name, value in AUTH["auth"].items() if not name.startswith("client")}
    page = open_page(secrets={"auth": {**auth, "google": AUTH["auth"], "our_own": AUTH["auth"]}})
    assert [button.label for button in page.button] == [
        "Sign in with google",
        "Sign in with our\\_own",
    ]


def test_secrets_that_cannot_be_read_show_nothing(open_page: OpenPage, tmp_path: Path) -> None:
    files = config.get_option("secrets.files")
    (tmp_path / "secrets.toml").write_text("[auth")
    config.set_option("secrets.files", [str(tmp_path / "secrets.toml")])
    try:
        page = open_page()
    finally:
        config.set_option("secrets.files", files)
    assert "secrets" in page.error[0].value
    assert not page.selectbox


def test_names_are_shown_in_the_spelling_of_those_who_gave_them() -> None:
    """A narrow space and a joiner stay; what would turn the order of the line is seen."""
    shown = escaped("Shot 9.41\u202fAM می\u200cخوابد \u202egpj\x1b")
    assert shown.replace("\\", "") == "Shot 9.41\u202fAM می\u200cخوابد u202egpjx1b"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "![x](https://example.org/x.png) [y](javascript:alert(1)) **bold** `code` $x^2$",
        ":smile: :red[alarm] :material/home: # heading",
        "www.example.org https://example.org a@example.org",
        "1. one\n2. two\n\n- three\t| four",
    ],
)
def test_markup_in_text_is_only_shown(text: str) -> None:
    safe = escaped(text)
    for place, char in enumerate(safe):
        if char in "<>![]()*_`$:#|~{}&":
            assert safe[place - 1] == "\\", (safe, place)
    unescaped = safe.replace("\\", "").replace("\u2060", "")
    assert unescaped == " ".join(text.split())
    assert "://" not in safe.replace("\\", "")
    assert "www.e" not in safe.replace("\\", "")
