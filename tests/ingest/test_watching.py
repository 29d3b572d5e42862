"""Waiting for changes: told by the system or looked for, and given once they have settled."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import cast

import pytest

from engine.progress import Cancellation, Cancelled
from ingest.mounts import is_networked, kind_of
from ingest.watching import PATIENCE_S, Settling, Stamp, watch

SETTLE = 0.04


@pytest.fixture(params=[None, 0.02], ids=["told", "polled"])
def poll(request: pytest.FixtureRequest) -> float | None:
    return cast(float | None, request.param)


def until(changes: Iterator[set[Path]], wanted: Path) -> None:
    """Take what changes until a path is among it."""
    while wanted not in next(changes):
        pass


def test_what_comes_changes_and_goes_is_given(tmp_path: Path, poll: float | None) -> None:
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    table = tmp_path / "table.csv"
    table.write_text("1")
    picture = folder / "deep" / "one.png"
    with closing(watch([folder, table], poll=poll, settle=SETTLE)) as changes:
        assert next(changes) == set()
        picture.write_bytes(b"1")
        until(changes, picture)
        picture.write_bytes(b"more")
        until(changes, picture)
        picture.rename(folder / "two.png")
        until(changes, folder / "two.png")
        other = tmp_path / "other.csv"
        other.write_text("2")
        other.replace(table)
        until(changes, table)


def test_a_folder_may_go_and_come_back_as_another(tmp_path: Path, poll: float | None) -> None:
    folder = tmp_path / "disk"
    with closing(watch([folder], poll=poll, settle=SETTLE)) as changes:
        assert next(changes) == set()
        for name in ("first.png", "second.png"):
            folder.mkdir()
            (folder / name).write_bytes(b"1")
            seen = set[Path]()
            while not seen & {folder, folder / name}:
                seen |= next(changes)
            (folder / name).write_bytes(b"22")
            until(changes, folder / name)
            (folder / name).unlink()
            folder.rmdir()
            while folder.exists() or not next(changes):
                pass


def test_clutter_is_passed_over(tmp_path: Path, poll: float | None) -> None:
    with closing(watch([tmp_path], poll=poll, settle=SETTLE)) as changes:
        next(changes)
        (tmp_path / ".hidden.png").write_bytes(b"1")
        (tmp_path / "Thumbs.db").write_bytes(b"1")
        (tmp_path / "real.png").write_bytes(b"1")
        seen = next(changes)
        while tmp_path / "real.png" not in seen:
            seen |= next(changes)
    assert {path.name for path in seen} <= {"real.png", tmp_path.name}


def test_links_in_a_circle_end(tmp_path: Path, poll: float | None) -> None:
    (tmp_path / "again").symlink_to(tmp_path)
    with closing(watch([tmp_path], poll=poll, settle=SETTLE)) as changes:
        next(changes)
        (tmp_path / "one.png").write_bytes(b"1")
        assert any(path.name == "one.png" for path in next(changes))


def test_it_ends_when_it_is_cancelled(tmp_path: Path, poll: float | None) -> None:
    cancellation = Cancellation()
    with cancellation.watched(), closing(watch([tmp_path], poll=poll)) as changes:
        next(changes)
        Thread(target=cancellation.ask).start()
        with pytest.raises(Cancelled):
            next(changes)


class Growing:
    """Tells of files as it is told to."""

    def __init__(self) -> None:
        self.sizes: dict[Path, int] = {}

    def __call__(self, path: Path) -> Stamp:
        return (self.sizes[path], 0, 0) if path in self.sizes else None


def test_a_file_that_grows_is_held_back_and_others_with_it() -> None:
    files = Growing()
    settling = Settling(2.0, files)
    grows, still = Path("grows"), Path("still")
    files.sizes = {grows: 1, still: 1}
    settling.note([grows, still], 0.0)
    for second in range(1, 5):
        files.sizes[grows] += 1
        settling.note([], float(second))
        assert settling.settled(float(second)) == set()
    settling.note([], 6.5)
    assert settling.settled(6.5) == {grows, still}
    assert settling.settled(100.0) == set()


def test_what_never_settles_holds_the_rest_back_for_a_while_only() -> None:
    files = Growing()
    settling = Settling(2.0, files)
    grows, still = Path("grows"), Path("still")
    files.sizes = {grows: 1, still: 1}
    settling.note([grows, still], 0.0)
    files.sizes[grows] += 1
    settling.note([], PATIENCE_S)
    assert settling.settled(PATIENCE_S) == {still}
    files.sizes[grows] += 1
    settling.note([], PATIENCE_S + 1)
    assert settling.settled(PATIENCE_S + 1) == set()
    assert settling.settled(PATIENCE_S + 3) == {grows}


def test_the_file_system_of_a_path_is_that_of_the_deepest_mount(tmp_path: Path) -> None:
    shared = tmp_path / "my photos"
    (shared / "usb").mkdir(parents=True)
    named = str(shared).replace(" ", "\\040")
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/sda1 / ext4 rw 0 0\nnas:/x {named} nfs4 rw 0 0\n"
        f"/dev/sdb {named}/usb fuseblk rw 0 0\n"
    )
    assert kind_of(shared / "2024", mounts) == "nfs4"
    assert is_networked(shared / "2024", mounts)
    assert not is_networked(shared / "usb", mounts)
    assert not is_networked(tmp_path / "my photos 2", mounts)
    assert kind_of(tmp_path, tmp_path / "none") == ""


def test_what_cannot_be_read_is_looked_for_elsewhere(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0)
    with closing(watch([tmp_path], poll=0.02, settle=SETTLE)) as changes:
        next(changes)
        (tmp_path / "one.png").write_bytes(b"1")
        until(changes, tmp_path / "one.png")
    closed.chmod(0o700)
    assert os.access(closed, os.R_OK)
