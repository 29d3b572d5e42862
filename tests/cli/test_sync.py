"""sync, as a command: what it asks, refuses and ends with, and how it stays."""

from __future__ import annotations

import io
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from engine.collection import CollectionFolder
from ingest import watching
from ingest.pipeline import pushed_commit
from tests.cli.conftest import PACK, Run

IMAGES = PACK / "plain" / "images"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pictures of all tests lie: what a collection knows is their whole path."""
    return tmp_path_factory.mktemp("sync")


@pytest.fixture
def trip(mrag: Run, place: Path) -> Path:
    """Eight pictures that a collection of a home of its own was made of, once for all tests."""
    kept, folder, home = place / "kept", place / "trip", place / "home"
    for left in place.iterdir():
        if left != kept:
            shutil.rmtree(left)
    if kept.exists():
        for path in kept.iterdir():
            shutil.copytree(path, place / path.name)
        return folder
    folder.mkdir()
    for number in range(8):
        shutil.copy(IMAGES / f"{number:03}.webp", folder)
    done = mrag("ingest", folder, "--profile", "sample", at=home)
    assert done.code == 0, done.err
    for path in (folder, home):
        shutil.copytree(path, kept / path.name)
    return folder


class Typed(io.StringIO):
    """A terminal at which this is typed."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "code", "left"), [("y\n", 0, 3), ("n\n", 1, 8)])
def test_it_asks_before_much_leaves(
    mrag: Run, trip: Path, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, left: int
) -> None:
    home = trip.parent / "home"
    for number in range(5):
        (trip / f"{number:03}.webp").unlink()
    assert mrag("sync", at=home).code == 2  # nobody is here to be asked
    monkeypatch.setattr("sys.stdin", Typed(typed))
    done = mrag("sync", at=home)
    assert done.code == code
    assert "5 of 8 pictures would leave collection 'trip'" in done.err
    assert "Let all of that go?" in done.err
    (told,) = mrag("collections", "--json", at=home).answers
    assert told["images"] == left
    assert [source["path"] for source in told["sources"]] == [str(trip)]


def test_all_are_synced_though_one_of_them_cannot_be(mrag: Run, trip: Path) -> None:
    home = trip.parent / "home"
    for name in ("copy", "unknown"):
        shutil.copytree(home / "collections" / "trip", home / "collections" / name)
        card = home / "collections" / name / "collection.json"
        card.write_text(card.read_text().replace('"trip"', f'"{name}"'))
    (home / "collections" / "unknown" / "sources.json").unlink()
    assert "which of copy, trip, unknown?" in mrag("sync", at=home).err
    done = mrag("sync", "-c", "unknown", at=home)
    assert done.code == 3
    assert "mrag ingest SOURCE --collection unknown" in done.err
    (trip / "000.webp").rename(trip / "moved.webp")
    done = mrag("sync", "all", "--json", at=home)
    assert done.code == 0, done.err
    assert [(one["collection"], one["moved"]) for one in done.answers] == [("copy", 1), ("trip", 1)]
    assert "unknown: knows no source that could change" in done.err
    trip.rename(trip.with_name("away"))
    done = mrag("sync", "all", at=home)
    assert done.code == 1
    assert done.err.count("may not be mounted") == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("all", "-c", "trip"), "leave one out"),
        (("--poll", "5"), "--poll is for --watch"),
        (("--watch", "--dry-run"), "leave one out"),
        (("-c", "no-such"), "there is no collection"),
    ],
)
def test_what_cannot_be_meant_is_told(
    mrag: Run, tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    done = mrag("sync", *options, at=tmp_path / "home")
    assert done.code in {2, 3}
    assert told in done.err


def test_it_stays_and_syncs_what_changes_until_it_is_stopped(
    mrag: Run, trip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Much does not leave, a disk goes and comes back, and what is new comes in all the same."""
    home = trip.parent / "home"
    monkeypatch.setattr(watching, "SETTLE_S", 0.05)
    folder = CollectionFolder(home, "trip")

    def soon(is_so: Callable[[], bool]) -> None:
        for _ in range(3000):
            if is_so():
                return
            time.sleep(0.01)
        raise AssertionError("it does not come about")

    def done_with(commit: int) -> bool:
        return pushed_commit(folder) > commit and not folder.is_being_written()

    def happen() -> None:
        try:
            first = pushed_commit(folder)
            shutil.copy(IMAGES / "020.webp", trip)
            soon(lambda: done_with(first))
            for number in range(5):
                (trip / f"{number:03}.webp").unlink()
            trip.rename(trip.with_name("away"))
            trip.with_name("away").rename(trip)
            second = pushed_commit(folder)
            shutil.copy(IMAGES / "021.webp", trip)
            soon(lambda: done_with(second))
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    thread = Thread(target=happen)
    thread.start()
    done = mrag("sync", "--watch", "--poll", "0.1", at=home)
    thread.join()
    assert done.code == 130
    assert f"watching {trip}" in done.err
    (told,) = mrag("collections", "--json", at=home).answers
    assert told["images"] == 10
