"""Files with the same bytes are one picture, and so stay whatever happens to its files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from corpus.entry import Entry
from corpus.ledger import Ledger
from corpus.records import ImageRecord, Record, WholeFolder
from corpus.shards import Shard
from engine.collection import CollectionFolder
from ingest.embed import EmbedOptions, EmbedReport, embed

if TYPE_CHECKING:
    from tests.worlds import PixelEncoder

Pictures = Callable[..., list[ImageRecord]]
Run = Callable[..., EmbedReport]


@pytest.fixture
def run(folder: CollectionFolder, encoder: PixelEncoder) -> Run:
    def run(records: list[Record]) -> EmbedReport:
        return embed(records, encoder, folder, EmbedOptions(batch_size=4, shard_size=4))

    return run


def picture(folder: CollectionFolder) -> Entry:
    """The one that there is."""
    with Ledger.open(folder) as ledger:
        found = [
            entry
            for file in ledger.shards()
            for entry in Shard(file).entries(ledger.live(file.number).pictures)
        ]
    (only,) = found
    return only


def skipped(folder: CollectionFolder) -> list[tuple[str, str]]:
    lines = map(json.loads, folder.skipped.read_text(encoding="utf-8").splitlines())
    return [(line["kind"], line["uri"]) for line in lines]


def forget(folder: CollectionFolder) -> None:
    for path in folder.embeddings.glob("ledger.sqlite*"):
        path.unlink()


def copied(record: ImageRecord, name: str, *captions: str, split: str = "train") -> ImageRecord:
    path = record.path.with_name(name)
    shutil.copy(record.path, path)
    return replace(record, image_id=name, uri=str(path), path=path, captions=captions, split=split)


@pytest.fixture
def told(pictures: Pictures) -> list[ImageRecord]:
    """A picture and two copies of it, with captions of which some are the same."""
    first = replace(pictures(1)[0], captions=("one", "both"), split="train")
    return [first, copied(first, "copy.png", "both", "two"), copied(first, "more.png", "three")]


JOINED = ("one", "both", "two", "three")


def test_copies_join_their_captions_however_often_they_are_read(
    run: Run, told: list[ImageRecord], folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    for time in range(4):
        report = run([*told])
        found = picture(folder)
        assert (found.captions, found.split) == (JOINED, "train")
        assert [name.image_id for name in found.names] == [one.image_id for one in told]
        assert found.uri == told[0].uri
        assert report.skipped == {"duplicate": 2}
        assert skipped(folder) == [("duplicate", told[1].uri), ("duplicate", told[2].uri)]
        assert (report.embedded, report.reused) == ((1, 2) if time == 0 else (0, 0))
        if time == 1:
            forget(folder)
    assert encoder.pictures == 1


def test_the_order_of_reading_is_no_matter_once_they_are_known(
    run: Run, told: list[ImageRecord], folder: CollectionFolder
) -> None:
    run([*told])
    run(told[::-1])
    assert picture(folder).captions == JOINED


@pytest.mark.parametrize("whole", [True, False])
def test_a_copy_takes_over_with_its_captions(
    run: Run,
    told: list[ImageRecord],
    folder: CollectionFolder,
    encoder: PixelEncoder,
    whole: bool,
) -> None:
    end = [WholeFolder(told[0].path.parent)] if whole else []
    run([*told, *end])
    told[0].path.unlink()
    for _ in range(2):
        report = run([*told[1:], *end])
        found = picture(folder)
        assert (found.image_id, found.uri, found.split) == ("copy.png", told[1].uri, "train")
        assert report.removed == 0
        assert skipped(folder) == [("duplicate", told[2].uri)]
        # Only a source that was read whole says that the first file is gone, with its words.
        expected = ("both", "two", "three") if whole else ("both", "two", "one", "three")
        assert sorted(found.captions) == sorted(expected)
        forget(folder)
    assert encoder.pictures == 1


def test_words_that_a_copy_no_longer_says_are_no_longer_the_pictures(
    run: Run, told: list[ImageRecord], folder: CollectionFolder
) -> None:
    run([*told])
    told[1] = replace(told[1], captions=("two anew",))
    run([*told])
    assert picture(folder).captions == ("one", "both", "two anew", "three")
    told[2].path.unlink()
    run([*told[:2], WholeFolder(told[0].path.parent)])
    assert picture(folder).captions == ("one", "both", "two anew")


def test_a_captioned_copy_in_another_split_is_a_conflict_on_every_ingest(
    run: Run, told: list[ImageRecord], folder: CollectionFolder
) -> None:
    told[1] = replace(told[1], split="test")
    for time in range(4):
        report = run([*told])
        found = picture(folder)
        assert (found.split, found.captions) == ("train", ("one", "both", "three"))
        assert [name.image_id for name in found.conflicts] == ["copy.png"]
        assert report.skipped == {"conflict": 1, "duplicate": 1}
        assert skipped(folder) == [("conflict", told[1].uri), ("duplicate", told[2].uri)]
        line = json.loads(folder.skipped.read_text(encoding="utf-8").splitlines()[0])
        expected = f"has the same bytes as {told[0].path}, which is in split 'train': its captions"
        assert line["reason"].startswith(expected)
        if time == 1:
            forget(folder)


@pytest.mark.parametrize("missing", ["whole", "gone"])
def test_a_conflict_does_not_change_the_split_while_others_say_it(
    run: Run, told: list[ImageRecord], folder: CollectionFolder, missing: str
) -> None:
    told[1] = replace(told[1], split="test")
    end = [WholeFolder(told[0].path.parent)] if missing == "whole" else []
    run([*told, *end])
    told[0].path.unlink()
    run([told[2], told[1], *end])
    found = picture(folder)
    assert (found.image_id, found.split) == ("more.png", "train")
    assert "two" not in found.captions


def test_a_copy_without_captions_changes_nothing(
    run: Run, told: list[ImageRecord], folder: CollectionFolder
) -> None:
    first, bare = told[0], replace(told[1], captions=(), split="test")
    run([first])
    with Ledger.open(folder) as ledger:
        before = ledger.file_at(first.path)
    assert before is not None
    for _ in range(3):
        assert run([first, bare]).skipped == {"duplicate": 1}
        found = picture(folder)
        assert (found.captions, found.split) == (("one", "both"), "train")
        assert (found.image_id, found.conflicts) == (first.image_id, ())
        forget(folder)


def test_a_copy_that_alone_has_captions_gives_them(
    run: Run, told: list[ImageRecord], folder: CollectionFolder
) -> None:
    bare = replace(told[0], captions=(), split="")
    for _ in range(3):
        run([bare, told[1]])
        found = picture(folder)
        assert (found.captions, found.split) == (("both", "two"), "train")
        assert found.image_id == bare.image_id
        forget(folder)


def test_copies_with_the_same_words_cost_no_encoding(
    run: Run, told: list[ImageRecord], encoder: PixelEncoder
) -> None:
    run([told[0]])
    run([told[0], replace(told[1], captions=told[0].captions)])
    assert encoder.texts == ["one", "both"]


SYSTEM = [".DS_Store", "lost+found", "Thumbs.db", "System Volume Information", "Desktop.ini"]


def leave(folder: Path, name: str) -> None:
    """Leave the folder as a disk leaves it that is taken away."""
    shutil.rmtree(folder)
    folder.mkdir()
    if name in {"lost+found", "System Volume Information"}:
        (folder / name).mkdir()
    else:
        (folder / name).write_bytes(b"of the system")


@pytest.fixture
def album(pictures: Pictures) -> list[ImageRecord]:
    """Six pictures, of which two lie in a folder of their own."""
    records = []
    for at, record in enumerate(pictures(6)):
        path = record.path.parent / ("album/sub" if at < 2 else "album") / record.path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        record.path.rename(path)
        records.append(replace(record, path=path, uri=str(path)))
    return records


@pytest.mark.parametrize("name", SYSTEM)
@pytest.mark.parametrize("part", ["all", "sub"])
def test_a_mount_point_with_a_file_of_the_system_removes_nothing(
    run: Run, album: list[ImageRecord], folder: CollectionFolder, name: str, part: str
) -> None:
    root = album[-1].path.parent
    run([*album, WholeFolder(root)])
    leave(root if part == "all" else root / "sub", name)
    left = [record for record in album if record.path.exists()]
    assert len(left) == (0 if part == "all" else 4)
    for _ in range(2):
        assert run([*left, WholeFolder(root)]).removed == 0
    with Ledger.open(folder) as ledger:
        assert ledger.pictures() == 6


def test_a_disk_that_holds_other_things_of_the_user_is_there(
    run: Run, album: list[ImageRecord], folder: CollectionFolder
) -> None:
    root = album[-1].path.parent
    run([*album, WholeFolder(root)])
    for record in album[:2]:
        record.path.unlink()
    album[2].path.unlink()
    (root / "sub" / "notes.txt").write_text("mine")
    assert run([*album[3:], WholeFolder(root)]).removed == 3
    with Ledger.open(folder) as ledger:
        assert ledger.pictures() == 3
        assert len(ledger.gone(0)) == 3
