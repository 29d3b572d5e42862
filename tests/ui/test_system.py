"""The page System says what `mrag doctor` says."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.settings import SAMPLE_PACK
from tests.ui.conftest import AUTH, OpenPage
from tests.worlds import copied_tree

PAGE = "ui/system/system.py"


def test_all_that_is_in_order_is_listed(open_page: OpenPage) -> None:
    page = open_page(PAGE)
    told = [text.value for text in page.markdown]
    for subject in ("torch", "disk", "memory", "store", "collection plain"):
        assert any(subject in text and "check" in text for text in told), subject
    assert "All that is needed is here, for new collections too" in page.success[0].value
    page.button[0].click().run()
    assert not page.exception


def test_what_is_missing_comes_first_with_its_remedy(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRAG_QDRANT_URL", "http://127.0.0.1")
    monkeypatch.setenv("MRAG_QDRANT_GRPC_PORT", "1")
    page = open_page(PAGE, at=tmp_path)
    assert "1 of" in page.error[0].value
    assert page.header[0].value == "Missing"
    assert any("does not answer" in text.value for text in page.markdown)


def test_places_of_the_server_are_told_to_its_admins_alone(
    open_page: OpenPage, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(page: AppTest) -> str:
        return "\n".join(text.value for text in page.markdown).replace("\\", "")

    assert str(home) in told(open_page(PAGE))
    monkeypatch.setenv("MRAG_READERS", "a@example.org")
    reader = {"is_logged_in": True, "email": "a@example.org"}
    page = open_page(PAGE, secrets=AUTH, user=reader)
    assert not page.exception
    assert str(home.parent) not in told(page)
    assert str(SAMPLE_PACK.parent) not in told(page)
    assert "shown to its admins alone" in page.caption[0].value


def test_a_damaged_index_is_not_called_in_order(
    open_page: OpenPage, home: Path, tmp_path: Path
) -> None:
    own = tmp_path / "home"
    copied_tree(home, own)
    index = next((own / "collections" / "plain" / "index").rglob("payload_storage/page_0.dat"))
    with index.open("r+b") as file:
        file.write(b"not what was written")
    page = open_page(PAGE, at=own)
    assert not page.success
    assert "Some collections cannot answer" in page.warning[0].value
    assert any("mrag push plain" in text.value for text in page.markdown)
