"""The page System says what `mrag doctor` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ui.conftest import OpenPage

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
