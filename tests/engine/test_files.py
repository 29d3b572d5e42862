"""Files written whole, never seen in between; and what is opened to be read, and what is not."""

from __future__ import annotations

import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from engine.files import partial_path, remove_partials, write_whole
from mrag_client.files import NotAFile, open_regular


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


def test_a_regular_file_is_read_through_links(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_bytes(b"a note")
    (tmp_path / "link").symlink_to("note.txt")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"a note"


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes, devices and links")
def test_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, device in (("zero", "/dev/zero"), ("random", "/dev/random"), ("tty", "/dev/tty")):
        (tmp_path / name).symlink_to(device)
    (tmp_path / "to the pipe").symlink_to("pipe")
    monkeypatch.chdir(tmp_path)  # the address of a socket is short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        for name, kind in {
            "pipe": "a named pipe",
            "to the pipe": "a named pipe",
            "zero": "a device",
            "random": "a device",
            "tty": "a device",
            "socket": "a socket",
            ".": "a folder",
        }.items():
            with pytest.raises(NotAFile, match=f"is {kind}, not a regular file"):
                open_regular(tmp_path / name)


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes")
def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "note.txt"
    path.touch()
    opened = os.open

    def swapped(place: Path, flags: int) -> int:
        path.unlink()
        os.mkfifo(path)
        return opened(place, flags)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(NotAFile, match="a named pipe"):
        open_regular(path)
