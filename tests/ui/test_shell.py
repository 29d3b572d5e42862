"""The frame of the app, without a browser."""

from __future__ import annotations

from tests.ui.conftest import OpenPage


def test_the_address_names_the_collection(open_page: OpenPage) -> None:
    page = open_page(collection="postcards")
    assert not page.exception
    assert page.sidebar.selectbox(key="collection").value == "postcards"
