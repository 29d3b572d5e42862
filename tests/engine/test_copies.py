"""Groups of copies: read again when they have changed, and never an error where they cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.search.copies import Copies, CopiesKeeper, write_copies


def test_copies_stand_beside_each_other() -> None:
    copies = Copies([("a", "b", "c"), ("d", "e")])
    assert copies.beside("b") == ("a", "c")
    assert copies.beside("x") == ()
    assert copies.of["a"] == copies.of["c"] != copies.of["d"]


def test_groups_are_read_again_when_they_have_changed(tmp_path: Path) -> None:
    path = tmp_path / "copies.json"
    keeper = CopiesKeeper(path)
    assert not keeper.copies().groups
    write_copies(path, [["b", "a"]])
    first = keeper.copies()
    assert first.groups == (("a", "b"),)
    write_copies(path, [["a", "b"]])  # the same: not written again
    assert keeper.copies() is first
    write_copies(path, [["a", "b"], ["c", "d"]])
    assert len(keeper.copies().groups) == 2


@pytest.mark.parametrize("written", ["", "{", "[]", '{"kind": "other", "groups": []}', "\udcff"])
def test_a_file_that_cannot_be_read_has_no_groups(tmp_path: Path, written: str) -> None:
    path = tmp_path / "copies.json"
    path.write_text(written, encoding="utf-8", errors="surrogateescape")
    assert not CopiesKeeper(path).copies().groups
