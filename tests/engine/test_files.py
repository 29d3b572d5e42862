"""Files written whole: seen as they were or as they are, never in between."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from engine.files import partial_path, remove_partials, write_whole


def test_a_file_is_replaced_with_bytes_or_text(tmp_path: Path) -> None:
    path = tmp_path / "new" / "note.txt"
    write_whole(path, "café")
    assert path.read_bytes() == "café".encode()
    write_whole(path, b"\x00\xff", durable=False)
    assert path.read_bytes() == b"\x00\xff"
    assert list(path.parent.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "note.txt"
    write_whole(path, "old")

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_whole(path, "new")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_file_and_folder_are_synced_before_it_counts_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bool] = []
    monkeypatch.setattr(
        os, "fsync", lambda handle: synced.append(stat.S_ISDIR(os.fstat(handle).st_mode))
    )
    write_whole(tmp_path / "cache", b"x", durable=False)
    assert synced == []
    write_whole(tmp_path / "truth", b"x")
    assert synced == [False, True]


def test_only_what_was_begun_of_that_name_is_removed(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine.json", tmp_path / "other.json"
    mine.touch()
    begun = [partial_path(mine), partial_path(mine), partial_path(other)]
    begun[0].touch()
    begun[1].mkdir()
    begun[2].touch()
    remove_partials(tmp_path, of=mine.name)
    assert sorted(tmp_path.iterdir()) == sorted([begun[2], mine])
