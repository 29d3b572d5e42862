"""`mrag demo`: what a newcomer sees first."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.mark.slow
def test_the_demo_indexes_describes_compares_and_searches_and_is_done_once(
    mrag: Run, tmp_path: Path
) -> None:
    first = mrag("demo", at=tmp_path)
    assert first.code == 0, first.err
    assert first.err.count("350 pictures and 19,750 captions embedded") == 2
    assert str(tmp_path / "collections") in first.err
    again = mrag("demo", at=tmp_path)
    assert again.code == 0, again.err
    assert "embedded" not in again.err
    for out in (first.out, again.out):
        assert out.count("people wrote:") == out.count("overlap") == 3
        assert len(re.findall(r"^search: ", out, re.MULTILINE)) == 2
        assert len(re.findall(r"^ *raw +mapped", out, re.MULTILINE)) == 5
