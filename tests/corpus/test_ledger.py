from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from corpus.described import Described
from corpus.ledger import Census, Ledger, Live
from corpus.parquet import DamagedShard, shard_files
from corpus.records import CaptionRecord, ImageRecord, Record
from corpus.shards import Contents, Shard
from engine.collection import CollectionFolder
from engine.folder_lock import unread
from ingest.embed import EmbedOptions, embed
from tests.corpus.making import contents, describe, entry, halves, sha256_of, write

if TYPE_CHECKING:
    from tests.worlds import PixelEncoder

Pictures = Callable[..., list[ImageRecord]]


@pytest.fixture
def run(folder: CollectionFolder, encoder: PixelEncoder) -> Callable[[list[Record]], None]:
    def run(records: list[Record]) -> None:
        embed(records, encoder, folder, EmbedOptions(batch_size=2, shard_size=4))

    return run


Run = Callable[[list[Record]], None]


def rows(folder: CollectionFolder) -> dict[str, tuple[int, int]]:
    """Where each picture's living row lies, by its id."""
    with Ledger.open(folder) as ledger:
        found = {}
        for file in ledger.shards():
            live = ledger.live(file.number).pictures
            for row, picture in zip(live, Shard(file).entries(live), strict=True):
                found[picture.image_id] = (file.number, row)
        return found


def path_of(folder: CollectionFolder) -> Path:
    return folder.embeddings / "ledger.sqlite"


def changed(ledger: Ledger, after: int) -> dict[str, tuple[str, ...]]:
    """The captions of the pictures that changed after a commit, by id."""
    found = {}
    for number, live in ledger.changed(after):
        for picture in Shard(ledger.shard(number)).entries(live.pictures):
            found[picture.image_id] = picture.captions
    return found


@pytest.mark.parametrize("damage", ["missing", "not a database", "truncated", "other layout"])
def test_it_is_made_again_from_the_shards(
    run: Run, pictures: Pictures, folder: CollectionFolder, damage: str
) -> None:
    records: list[Record] = [*pictures(9, captions=1), CaptionRecord("alone")]
    run(records)
    moved = records[3]
    assert isinstance(moved, ImageRecord)
    records[3] = replace(moved, captions=("changed",))
    run(records)
    before = rows(folder)
    damage_ledger(folder, damage)
    assert rows(folder) == before
    with Ledger.open(folder) as ledger:
        assert ledger.has_loose(CaptionRecord("alone"))
        assert ledger.pictures() == 9
        assert changed(ledger, ledger.last_commit() - 1) == {moved.image_id: ("changed",)}


def damage_ledger(folder: CollectionFolder, damage: str) -> None:
    path = path_of(folder)
    if damage == "missing":
        path.unlink()
    elif damage == "not a database":
        path.write_bytes(b"nonsense" * 1000)
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        with sqlite3.connect(path) as db:
            db.execute("pragma user_version = 99")
        db.close()


def test_a_shard_written_before_a_kill_is_taken_in(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    run([*pictures(4)])
    old = path_of(folder).read_bytes()
    run([*pictures(10)])
    for path in folder.embeddings.glob("ledger.sqlite*"):
        path.unlink()
    path_of(folder).write_bytes(old)
    encoder.pictures = 0
    run([*pictures(10)])
    assert encoder.pictures == 0
    assert len(rows(folder)) == 10


def test_what_was_in_a_deleted_shard_is_embedded_again(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    run([*pictures(12)])
    shard_files(folder.embeddings)[1].path.unlink()
    encoder.pictures = 0
    run([*pictures(12)])
    assert encoder.pictures == 4
    assert len(rows(folder)) == 12


def test_a_shard_that_is_put_back_is_taken_in(
    run: Run, pictures: Pictures, folder: CollectionFolder
) -> None:
    run([*pictures(12)])
    file = shard_files(folder.embeddings)[1]
    aside = file.path.rename(folder.path / "aside")
    assert len(rows(folder)) == 8
    aside.rename(file.path)
    assert len(rows(folder)) == 12


def test_a_damaged_shard_is_set_aside_and_the_rest_goes_on(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    run([*pictures(12)])
    file = shard_files(folder.embeddings)[1]
    file.path.write_bytes(b"damaged")
    path_of(folder).unlink()
    with pytest.raises(DamagedShard, match="shard-00001"):
        Ledger.read(folder)  # who only reads changes nothing
    with unread(folder.embeddings) as alone:
        assert alone  # and keeps nobody from changing anything, either
    with Ledger.open(folder) as ledger:
        assert [error.path for error in ledger.damaged] == [file.path]
        assert ledger.pictures() == 8
    assert file.path.with_name(f"{file.path.name}.damaged").read_bytes() == b"damaged"
    with Ledger.open(folder) as ledger:
        assert not ledger.damaged
    encoder.pictures = 0
    run([*pictures(12)])
    assert encoder.pictures == 4
    assert len(rows(folder)) == 12


def test_a_picture_captioned_anew_has_changed(
    run: Run, pictures: Pictures, folder: CollectionFolder
) -> None:
    first, second = pictures(2, captions=2)
    run([first, second])
    with Ledger.open(folder) as ledger:
        commit = ledger.last_commit()
        assert changed(ledger, 0).keys() == {first.image_id, second.image_id}
    run([replace(first, captions=first.captions[:1]), second])
    with Ledger.open(folder) as ledger:
        assert changed(ledger, commit) == {first.image_id: first.captions[:1]}
        assert ledger.gone(0) == []
        assert changed(ledger, ledger.last_commit()) == {}
    run([first])
    with Ledger.open(folder) as ledger:
        assert changed(ledger, commit) == {first.image_id: first.captions}


def test_the_old_content_of_a_changed_picture_is_gone(
    run: Run, pictures: Pictures, folder: CollectionFolder
) -> None:
    (record,) = pictures(1, captions=1)
    run([record])
    old = record.path.read_bytes()
    with Ledger.open(folder) as ledger:
        known, commit = ledger.file_at(record.path), ledger.last_commit()
    assert known is not None
    pictures(1, first=7)[0].path.replace(record.path)
    run([record])
    with Ledger.open(folder) as ledger:
        assert ledger.gone(commit) == [known.picture.sha256]
        assert ledger.gone(ledger.last_commit()) == []
        assert changed(ledger, commit).keys() == {record.image_id}
    record.path.write_bytes(old)
    run([record])
    with Ledger.open(folder) as ledger:
        assert known.picture.sha256 not in ledger.gone(0)  # it is back
        assert len(ledger.gone(0)) == 1


def test_a_caption_that_stands_alone_too_stays(
    run: Run, pictures: Pictures, folder: CollectionFolder
) -> None:
    (record,) = pictures(1, captions=1)
    alone = CaptionRecord(record.captions[0], record.image_id)
    run([record, alone])
    run([replace(record, captions=())])
    with Ledger.open(folder) as ledger:
        assert ledger.has_loose(alone)
        assert ledger.captions() == 1


def test_generated_captions_yield_to_human_ones(folder: CollectionFolder) -> None:
    entries = [entry("first"), entry("second")]
    write(folder.embeddings, 0, contents(entries), commit=1)
    with Ledger.open(folder) as ledger:
        assert ledger.undescribed_in(0) == [0, 1]
        for number, one in enumerate(entries):
            said = [Described(one.sha256, "seen")]
            commit = ledger.next_commit()
            file = describe(folder.generated, number, said, commit)
            ledger.add_described(file, said, commit)
        assert [tuple(found) for found in ledger.generated_in(0)] == [(0, 0, 0), (1, 1, 0)]
        assert ledger.undescribed() == 0
        assert changed(ledger, 1).keys() == {"first", "second"}
        assert changed(ledger, 2).keys() == {"second"}
        told = contents([entry("first", "told")])
        ledger.add(write(folder.embeddings, 1, told, commit=4), told, 4)
        assert [found.row for found in ledger.generated_in(0)] == [1]
        assert ledger.generated_in(1) == []
        assert changed(ledger, 3) == {"first": ("told",)}


def test_the_census_counts_training_splits_only(
    run: Run, pictures: Pictures, folder: CollectionFolder
) -> None:
    run(
        [*pictures(3, captions=2, split="train"), CaptionRecord("a"), CaptionRecord("b", "", "val")]
    )
    with Ledger.open(folder) as ledger:
        last = ledger.last_commit()
    run([*pictures(2, first=10, captions=1, split="test"), *pictures(1, first=20, split="restval")])
    with Ledger.open(folder) as ledger:
        assert ledger.census() == Census(pictures=4, pairs=3, loose=1)
        assert ledger.census(after=last) == Census(pictures=1, pairs=0, loose=0)
        assert ledger.pictures() == 6
        assert ledger.captions() == 10
        counts = {"train": (3, 3), "test": (2, 2), "restval": (1, 0)}
        assert ledger.split_counts() == counts


def test_the_same_content_is_one_picture_whatever_it_is_called(folder: CollectionFolder) -> None:
    old = entry("old name", "said", content="bytes")
    new = entry("new name", content="bytes")
    for number, one in enumerate((old, new)):
        write(folder.embeddings, number, contents([one]), commit=number + 1)
    with Ledger.open(folder) as ledger:
        assert [ledger.live(number) for number in (0, 1)] == [Live([], []), Live([0], [])]
        known = ledger.picture(sha256_of("bytes"))
        assert known is not None
        assert (known.shard, known.row, known.since) == (1, 0, 2)
        assert ledger.named("old name") == []
        assert ledger.named("new name") == [known]
        assert ledger.file_at(Path("/old name")) is None


# Readers

_HOLDER = """
import sys
from pathlib import Path
from corpus.ledger import Ledger
from corpus.lock import writing
from engine.collection import CollectionFolder
from tests.corpus.making import contents, entry, write

folder = CollectionFolder(Path(sys.argv[1]), sys.argv[2])
with writing(folder), Ledger.open(folder) as ledger:
    print("held", flush=True)
    for line in sys.stdin:
        number, commit = ledger.next_shard(), ledger.next_commit()
        made = contents([entry(f"{number}-{at}", "told") for at in range(50)])
        ledger.add(write(folder.embeddings, number, made, commit=commit), made, commit)
        print("written", flush=True)
"""

_READER = """
import sys
from pathlib import Path
from corpus.ledger import Ledger
from engine.collection import CollectionFolder

with Ledger.read(CollectionFolder(Path(sys.argv[1]), sys.argv[2])) as ledger:
    print(ledger.pictures(), flush=True)
    sys.stdin.readline()
"""


class Other:
    """Another process, which does a thing a line."""

    def __init__(self, code: str, folder: CollectionFolder) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder.path.parents[1]), folder.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.first = self.answer()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@contextmanager
def other(code: str, folder: CollectionFolder) -> Iterator[Other]:
    started = Other(code, folder)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate()


def seen(ledger: Ledger) -> tuple[int, int, int, int]:
    living = sum(len(ledger.live(file.number).pictures) for file in ledger.shards())
    return ledger.pictures(), ledger.captions(), living, len(ledger.shards())


def test_readers_do_not_wait_for_a_writer_and_see_one_state(folder: CollectionFolder) -> None:
    write(folder.embeddings, 0, contents([entry("a", "x")]))
    Ledger.open(folder).close()
    with other(_HOLDER, folder) as writer:
        assert writer.first == "held"
        before = time.monotonic()
        with Ledger.read(folder) as early:
            assert time.monotonic() - before < 1
            assert seen(early) == (1, 1, 1, 1)
            for shards in range(1, 5):
                writer.go_on()
                assert writer.answer() == "written"
                assert seen(early) == (1, 1, 1, 1)
                with Ledger.read(folder) as late:
                    count = 1 + 50 * shards
                    assert seen(late) == (count, count, count, 1 + shards)


def test_a_reader_never_sees_half_of_a_commit(folder: CollectionFolder) -> None:
    write(folder.embeddings, 0, contents([entry("a", "x")]))
    Ledger.open(folder).close()
    with other(_HOLDER, folder) as writer:
        for _ in range(10):
            writer.go_on()
        ends = time.monotonic() + 30
        while time.monotonic() < ends:
            with Ledger.read(folder) as ledger:
                pictures, captions, living, shards = seen(ledger)
                count = 1 + 50 * (shards - 1)
                assert (pictures, captions, living) == (count, count, count)
                if shards == 11:
                    return
    raise AssertionError("the writer did not come to its end")


@pytest.mark.parametrize("damage", ["missing", "not a database", "truncated", "other layout"])
def test_a_reader_without_a_sound_ledger_makes_one_of_its_own(
    folder: CollectionFolder, damage: str
) -> None:
    write(folder.embeddings, 0, contents([entry("a", "x"), entry("b")]))
    Ledger.open(folder).close()
    damage_ledger(folder, damage)
    before = content_of(folder)
    with Ledger.read(folder) as ledger:
        assert seen(ledger) == (2, 1, 2, 1)
    assert content_of(folder) == before


def content_of(folder: CollectionFolder) -> dict[str, bytes]:
    """All but what SQLite keeps for the time that somebody reads."""
    return {
        path.name: path.read_bytes()
        for path in folder.embeddings.iterdir()
        if not path.name.endswith(("-shm", "-wal"))
    }


@pytest.mark.parametrize("ledger_is_there", [True, False])
def test_a_folder_that_nobody_may_write_is_read(ledger_is_there: bool) -> None:
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        folder = CollectionFolder(Path(home), "noise")
        write(folder.embeddings, 0, contents([entry("a", "x")]))
        if ledger_is_there:
            Ledger.open(folder).close()
        before = content_of(folder)
        folder.embeddings.chmod(0o555)
        # Root may write anywhere, so it reads as another, who may not even look for modules.
        change = "\nimport os, pydoc, pyarrow.compute\nos.getuid() or os.setuid(65534)\nwith"
        with other(_READER.replace("\nwith", change), folder) as reader:
            assert reader.first == "1"
        assert content_of(folder) == before
        folder.embeddings.chmod(0o755)


def test_who_reads_keeps_shards_from_being_removed(folder: CollectionFolder) -> None:
    write(folder.embeddings, 0, contents([entry("a", "x")]))
    Ledger.open(folder).close()
    with other(_READER, folder) as reader:
        assert reader.first == "1"
        with unread(folder.embeddings) as alone:
            assert not alone
        with Ledger.read(folder), unread(folder.embeddings) as alone:
            assert not alone
        reader.go_on()
        reader.process.wait()
        with unread(folder.embeddings) as alone:
            assert alone
    with Ledger.read(folder), unread(folder.embeddings) as alone:
        assert not alone
    with unread(folder.embeddings) as alone:
        assert alone


def test_a_reader_that_is_killed_holds_nothing(folder: CollectionFolder) -> None:
    write(folder.embeddings, 0, contents([entry("a", "x")]))
    with other(_READER, folder) as reader:
        assert reader.first == "1"
    with unread(folder.embeddings) as alone:
        assert alone


def test_a_collection_without_shards_can_be_read(folder: CollectionFolder) -> None:
    with Ledger.read(folder) as ledger:
        assert (seen(ledger), ledger.last_commit()) == ((0, 0, 0, 0), 0)
    assert not folder.embeddings.exists()


def test_a_shard_of_pictures_without_captions_takes_no_captions(tmp_path: Path) -> None:
    made = Contents([entry("a")], (), (), halves(1), halves(0))
    assert Shard(write(tmp_path, 0, made)).captions.shape == (0, 3)
