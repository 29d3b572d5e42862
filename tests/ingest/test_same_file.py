"""One name for one file, whichever way leads to its folder, and whatever becomes of it."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from corpus.entry import Entry
from corpus.ledger import Ledger
from corpus.shards import Shard
from engine.collection import CollectionFolder
from ingest.embed import EmbedOptions, EmbedReport, embed
from ingest.readers import open_source
from tests.worlds import PixelEncoder, paint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs links")

Run = Callable[..., EmbedReport]
HOW = EmbedOptions(batch_size=2, shard_size=2)


@pytest.fixture
def run(folder: CollectionFolder, encoder: PixelEncoder) -> Run:
    return lambda source: embed(open_source(source), encoder, folder, HOW)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """An album with a year in it, and links to both beside it."""
    album = tmp_path / "album"
    paint(album / "2024" / "a.png", 1)
    paint(album / "b.png", 2)
    (tmp_path / "link").symlink_to(album)
    (tmp_path / "year").symlink_to(album / "2024")
    return album


def entries(folder: CollectionFolder) -> list[Entry]:
    with Ledger.open(folder) as ledger:
        return [
            entry
            for file in ledger.shards()
            for entry in Shard(file).entries(ledger.live(file.number).pictures)
        ]


def held(folder: CollectionFolder) -> dict[Path, list[str]]:
    """The contents that the collection has under each file's name."""
    found: dict[Path, list[str]] = {}
    for entry in entries(folder):
        for name in entry.names:
            found.setdefault(Path(name.path), []).append(entry.sha256)
    return found


def lying(album: Path) -> dict[Path, list[str]]:
    """The contents of the files themselves."""
    files = album.resolve().rglob("*.png")
    return {path: [sha256(path.read_bytes()).hexdigest()] for path in files}


@pytest.mark.parametrize(
    "way", ["album/2024", "album", "link", "year", "link/2024", "album/2024/..", "year/../2024"]
)
def test_a_file_has_one_name_by_whichever_way(
    run: Run,
    album: Path,
    folder: CollectionFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    run(album)
    before = entries(folder)
    monkeypatch.chdir(tmp_path)
    for source in (tmp_path / way, Path(way), album):
        report = run(source)
        assert (report.embedded, report.reused, report.skipped) == (0, 0, {}), source
    assert entries(folder) == before
    assert held(folder) == lying(album)


def test_a_file_that_changed_is_known_by_its_new_content_alone(
    run: Run, album: Path, tmp_path: Path, folder: CollectionFolder
) -> None:
    """Though it was read by two ways, and its time was set back."""
    run(album)
    run(tmp_path / "link")
    paint(tmp_path / "older.png", 3)
    os.utime(tmp_path / "older.png", (10**9, 10**9))
    shutil.copy2(tmp_path / "older.png", album / "b.png")
    assert run(album).removed == 1
    assert held(folder) == lying(album)


def test_names_that_earlier_versions_gave_one_file_become_one(
    run: Run, album: Path, tmp_path: Path, folder: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr("os.path.realpath", os.path.abspath)
        earlier.setattr(Path, "resolve", Path.absolute)
        run(album)
        run(tmp_path / "link")
    assert len(held(folder)) == 4
    for path in lying(album):
        path.touch()
    run(album)
    assert held(folder) == lying(album)


def test_a_linked_folder_that_is_taken_away_takes_its_pictures_along(
    run: Run, album: Path, tmp_path: Path, folder: CollectionFolder
) -> None:
    paint(tmp_path / "disk" / "c.png", 5)
    (album / "more").symlink_to(tmp_path / "disk")
    assert run(album).embedded == 3
    assert held(folder).keys() == {*lying(album), *lying(tmp_path / "disk")}
    (album / "more").unlink()
    assert run(album).removed == 1
    assert held(folder) == lying(album)


def test_a_linked_disk_that_is_out_of_reach_keeps_its_pictures(
    run: Run, album: Path, tmp_path: Path, folder: CollectionFolder
) -> None:
    paint(tmp_path / "disk" / "c.png", 5)
    (album / "more").symlink_to(tmp_path / "disk")
    run(album)
    before = held(folder)
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    assert run(album).removed == 0
    assert held(folder) == before


def test_a_link_to_a_file_is_a_copy_that_can_be_removed_alone(
    run: Run, album: Path, folder: CollectionFolder
) -> None:
    (album / "c.png").symlink_to("b.png")
    assert run(album).skipped == {"duplicate": 1}
    (album / "c.png").unlink()
    run(album)
    assert held(folder) == lying(album)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_becomes_of_files_each_is_known_by_what_it_holds(
    run: Run, album: Path, folder: CollectionFolder, tmp_path: Path, seed: int
) -> None:
    """Written, copied with its time, moved and removed, and read by any way."""
    rng = random.Random(seed)
    (album / "2024" / "notes.md").touch()  # else an empty folder were a disk that is not mounted
    places = [album / "a.png", album / "b.png", album / "2024" / "a.png", album / "2024" / "c.png"]
    ways = [album, tmp_path / "link", album / "2024", tmp_path / "year"]
    for _ in range(10):
        for _ in range(rng.randint(1, 3)):
            here, there = rng.sample(places, 2)
            _change(rng, here, there, album)
        run(rng.choice(ways))
        run(rng.choice(ways[:2]))
        assert held(folder) == lying(album)


def _change(rng: random.Random, here: Path, there: Path, album: Path) -> None:
    what = rng.choice(["write", "copy", "move", "remove"])
    if what == "write":
        number = rng.randint(0, 5)
        paint(here, number)
        here.write_bytes(here.read_bytes() + b"0" * number)  # of a size of its own
        os.utime(here, (rng.choice([1000, 2000]),) * 2)
    elif what == "copy" and there.exists():
        shutil.copy2(there, here)
    elif what == "move" and there.exists():
        there.replace(here)
    elif what == "remove" and here.exists() and len(lying(album)) > 1:
        here.unlink()
