from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from corpus.ledger import Census, Ledger
from corpus.records import CaptionRecord, ImageRecord, Record
from corpus.shards import Described, read_contents, shard_path, shard_sizes
from engine.collection import CollectionFolder
from engine.errors import StoreUnavailable
from engine.store.ids import caption_id, picture_id
from ingest.embed import embed

if TYPE_CHECKING:
    from tests.worlds import PixelEncoder

Pictures = Callable[..., list[ImageRecord]]


@pytest.fixture
def run(folder: CollectionFolder, encoder: PixelEncoder) -> Callable[[list[Record]], None]:
    def run(records: list[Record]) -> None:
        embed(records, encoder, folder, batch_size=2, shard_size=4)

    return run


Run = Callable[[list[Record]], None]


def contents(folder: CollectionFolder) -> dict[str, tuple[int, int]]:
    with Ledger.open(folder) as ledger:
        rows = {}
        for number in ledger.shards():
            entries = read_contents(shard_path(folder.embeddings, number)).entries
            for row in ledger.live_rows(number):
                rows[entries[row].image_id] = (number, row)
        return rows


def doomed(folder: CollectionFolder) -> set[str]:
    with Ledger.open(folder) as ledger:
        return {*ledger.doomed("images", 99), *ledger.doomed("captions", 99)}


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
    before = contents(folder), doomed(folder)
    path = folder.embeddings / "ledger.sqlite"
    if damage == "missing":
        path.unlink()
    elif damage == "not a database":
        path.write_bytes(b"nonsense" * 1000)
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        with Ledger(folder) as ledger:
            ledger._db.execute("pragma user_version = 99")
    assert (contents(folder), doomed(folder)) == before
    with Ledger.open(folder) as ledger:
        assert ledger.has_loose(CaptionRecord("alone"))
        assert ledger.pictures() == 9


def test_a_shard_written_before_a_kill_is_taken_in(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    run([*pictures(4)])
    old = (folder.embeddings / "ledger.sqlite").read_bytes()
    run([*pictures(10)])
    for path in folder.embeddings.glob("ledger.sqlite*"):
        path.unlink()
    (folder.embeddings / "ledger.sqlite").write_bytes(old)
    encoder.pictures = 0
    run([*pictures(10)])
    assert encoder.pictures == 0
    assert len(contents(folder)) == 10


def test_what_was_in_a_deleted_shard_is_embedded_again(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    run([*pictures(12)])
    shard_path(folder.embeddings, 1).unlink()
    encoder.pictures = 0
    run([*pictures(12)])
    assert encoder.pictures == 4
    assert len(contents(folder)) == 12


def test_a_damaged_shard_is_named(run: Run, pictures: Pictures, folder: CollectionFolder) -> None:
    run([*pictures(4)])
    shard_path(folder.embeddings, 0).write_bytes(b"damaged")
    with pytest.raises(StoreUnavailable, match="shard-00000"):
        Ledger.open(folder)


def test_superseded_points_are_doomed_until_they_live_again(
    run: Run, pictures: Pictures, folder: CollectionFolder
) -> None:
    (record,) = pictures(1, captions=2)
    run([record])
    assert doomed(folder) == set()
    run([replace(record, captions=record.captions[:1])])
    gone = caption_id(record.image_id, record.captions[1], "human")
    assert doomed(folder) == {gone}
    run([record])
    assert doomed(folder) == set()


def test_a_changed_picture_dooms_its_old_point(
    run: Run, pictures: Pictures, folder: CollectionFolder
) -> None:
    (record,) = pictures(1, captions=1)
    run([record])
    with Ledger.open(folder) as ledger:
        known = ledger.picture(record.image_id)
    assert known is not None
    other = pictures(1, first=7)[0]
    other.path.replace(record.path)
    run([record])
    assert doomed(folder) == {picture_id(known.sha256)}


def test_a_caption_that_stands_alone_too_is_not_doomed(
    run: Run, pictures: Pictures, folder: CollectionFolder
) -> None:
    (record,) = pictures(1, captions=1)
    run([record, CaptionRecord(record.captions[0], record.image_id)])
    run([replace(record, captions=())])
    assert doomed(folder) == set()


def test_generated_captions_yield_to_human_ones(
    run: Run, pictures: Pictures, folder: CollectionFolder
) -> None:
    first, second = pictures(2)
    run([first, second])
    with Ledger.open(folder) as ledger:
        for number, record in enumerate((first, second)):
            known = ledger.picture(record.image_id)
            assert known is not None
            ledger.add_described(number, [Described(known.sha256, record.image_id, "seen")], 1)
        assert [found.row for found in ledger.generated_in(0)] == [0, 1]
        assert ledger.undescribed() == 0
        # As `open` would find no such shards, the ledger is used on while it is open.
        entry = read_contents(shard_path(folder.embeddings, 0)).entries[0]
        told = replace(entry, captions=("told",))
        ledger.add(1, replace(read_contents(shard_path(folder.embeddings, 0)), entries=(told,)), 1)
        assert [found.row for found in ledger.generated_in(0)] == [1]
        assert ledger.generated_in(1) == []
        gone = caption_id(first.image_id, "seen", "generated")
        assert ledger.doomed("captions", 9) == [gone]


def test_the_census_counts_training_splits_only(
    run: Run, pictures: Pictures, folder: CollectionFolder
) -> None:
    run(
        [*pictures(3, captions=2, split="train"), CaptionRecord("a"), CaptionRecord("b", "", "val")]
    )
    last = max(shard_sizes(folder.embeddings)) + 1
    run([*pictures(2, first=10, captions=1, split="test"), *pictures(1, first=20, split="restval")])
    with Ledger.open(folder) as ledger:
        assert ledger.census() == Census(pictures=4, pairs=3, loose=1)
        assert ledger.census(first=last) == Census(pictures=1, pairs=0, loose=0)
        assert ledger.pictures() == 6
        assert ledger.captions() == 10
