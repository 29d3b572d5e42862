"""What has been superseded goes, and nothing that lives, is read, or is still to be told."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from corpus.compaction import compact
from corpus.described import Described, DescribedShard
from corpus.ledger import Ledger
from corpus.parquet import ShardFile, shard_files
from corpus.records import CaptionRecord, ImageRecord, Leaving, Record, WholeFolder
from corpus.shards import Shard
from engine.alignment.alignment import PairMoments
from engine.collection import CollectionCard, CollectionFolder
from engine.settings import Settings
from ingest.embed import EmbedOptions, embed
from ingest.fit import fit, fit_if_needed
from ingest.pipeline import pushed_commit
from ingest.push import PushReport, push
from tests.corpus.answers import answers
from tests.corpus.making import contents, describe, entry, sha256_of, write

if TYPE_CHECKING:
    from tests.worlds import PixelEncoder

Pictures = Callable[..., list[ImageRecord]]


class World:
    """A collection that is embedded again and again."""

    def __init__(
        self,
        folder: CollectionFolder,
        card: CollectionCard,
        settings: Settings,
        encoder: PixelEncoder,
    ) -> None:
        self.folder, self.card, self.settings, self.encoder = folder, card, settings, encoder
        self.turn = 0

    def embed(self, records: list[Record], leaving: Leaving | None = None) -> None:
        options = EmbedOptions(batch_size=4, shard_size=8)
        embed(records, self.encoder, self.folder, options, leaving=leaving)

    def touch(self, records: list[ImageRecord]) -> None:
        self.turn += 1
        for one in records:
            os.utime(one.path, ns=(self.turn * 10**9, self.turn * 10**9))

    def push(self) -> PushReport:
        return push(self.folder, self.card, self.settings)

    def compact(self) -> None:
        compact(self.folder, pushed=pushed_commit(self.folder))

    def bytes(self) -> int:
        places = self.folder.embeddings, self.folder.generated
        files = [file for place in places for file in shard_files(place).values()]
        return sum(file.path.stat().st_size for file in files)

    def state(self) -> dict[str, Any]:
        """All that the ledger answers."""
        with Ledger.open(self.folder) as ledger:
            return answers(ledger)


@pytest.fixture
def world(
    folder: CollectionFolder, card: CollectionCard, settings: Settings, encoder: PixelEncoder
) -> World:
    return World(folder, card, settings, encoder)


def is_as_made_anew(folder: CollectionFolder) -> None:
    with Ledger.read(folder) as ledger, Ledger.made_anew(folder) as anew:
        assert ledger.differs_from(anew) == ""


def test_ten_ingests_of_touched_files_end_at_the_bytes_of_one(
    world: World, pictures: Pictures
) -> None:
    records = pictures(40, captions=2, split="train")
    world.embed([*records, *(CaptionRecord(f"alone {at}") for at in range(10))])
    fit(world.folder, world.card)
    world.push()
    world.compact()  # 8 pictures to a shard are few: one file of all is what is to be reached
    once = world.bytes()
    for _ in range(10):
        world.touch(records)
        world.embed([*records])
    assert world.bytes() > 8 * once
    world.compact()
    assert world.bytes() <= 1.05 * once
    assert len(shard_files(world.folder.embeddings)) == 1
    with Ledger.open(world.folder) as ledger:
        assert (ledger.pictures(), ledger.captions()) == (40, 90)
    is_as_made_anew(world.folder)
    report = world.push()
    assert (report.points, report.deleted, report.everything) == (0, 0, False)
    assert world.encoder.pictures == 40


def test_nothing_is_pushed_or_fitted_again_for_it(world: World, pictures: Pictures) -> None:
    records = pictures(40, captions=2, split="train")
    world.embed([*records])
    world.embed([*(replace(one, captions=(*one.captions, "more")) for one in records[:15])])
    fit(world.folder, world.card, method="ridge")
    moments = PairMoments.load(world.folder.moments)
    world.push()
    before = world.state()
    world.compact()
    assert world.state() == before
    assert world.push().points == 0
    assert not fit_if_needed(world.folder, world.card)[1]
    fit(world.folder, world.card, method="ridge")
    again = PairMoments.load(world.folder.moments)
    assert again.n == moments.n
    assert abs(again.image_text - moments.image_text).max() < 1e-5
    assert world.push().points == 0


def test_what_was_not_pushed_yet_is_pushed_after_it(world: World, pictures: Pictures) -> None:
    records = pictures(30, captions=1, split="train")
    world.embed([*records])
    fit(world.folder, world.card)
    world.push()
    new = pictures(3, first=50, captions=1, split="train")
    world.embed([*(replace(one, captions=("anew",)) for one in records[:2]), *new])
    world.compact()
    report = world.push()
    assert (report.images, report.captions, report.everything) == (5, 5, False)
    assert report.deleted == 2  # the captions that there were


def test_withdrawals_are_kept_until_the_index_knows_them(world: World, pictures: Pictures) -> None:
    records = pictures(30, captions=1, split="train")
    world.embed([*records])
    fit(world.folder, world.card)
    world.push()
    lost = records[:9]  # all of the first shard among them
    for one in lost:
        one.path.unlink()
    world.embed([*records[9:], WholeFolder(records[0].path.parent)])
    for _ in range(2):
        world.compact()
        with Ledger.open(world.folder) as ledger:
            assert len(ledger.gone(pushed_commit(world.folder))) == 9
        is_as_made_anew(world.folder)
    report = world.push()
    assert (report.deleted, report.points, report.everything) == (18, 0, False)
    world.compact()
    with Ledger.made_anew(world.folder) as ledger:
        assert ledger.gone(-1) == []
        assert ledger.pictures() == 21
    is_as_made_anew(world.folder)
    report = world.push()
    assert (report.points, report.deleted, report.everything) == (0, 0, False)


def test_captions_are_withdrawn_and_that_is_kept_until_the_index_knows_it(
    world: World, pictures: Pictures
) -> None:
    records = pictures(30, captions=1, split="train")
    alone = [CaptionRecord(f"alone {at}", "far away", "train") for at in range(8)]
    world.embed([*records, *alone])
    fit(world.folder, world.card)
    world.push()
    world.embed([*records, *alone[:2]], leaving=Leaving(captions=tuple(alone[2:])))
    for _ in range(2):
        world.compact()
        with Ledger.open(world.folder) as ledger:
            assert len(ledger.unsaid(pushed_commit(world.folder))) == 6
            assert ledger.captions() == 32
        is_as_made_anew(world.folder)
    report = world.push()
    assert (report.deleted, report.points, report.everything) == (6, 0, False)
    world.embed([*alone[2:3]])  # it is said again, which is an end of the withdrawal
    report = world.push()
    assert (report.deleted, report.captions, report.everything) == (0, 1, False)
    world.compact()
    is_as_made_anew(world.folder)
    with Ledger.made_anew(world.folder) as ledger:
        assert ledger.unsaid(-1) == []
        assert ledger.captions() == 33


def test_commits_are_not_reused_where_the_latest_shard_went(
    world: World, pictures: Pictures
) -> None:
    """Else what is new would look like what the index, and the map, have seen."""
    records = pictures(30, captions=1, split="train")
    world.embed([*records])
    fit(world.folder, world.card)
    for one in records[:3]:
        one.path.unlink()
    world.embed([*records[3:], WholeFolder(records[0].path.parent)])
    fit(world.folder, world.card)
    world.push()
    seen = pushed_commit(world.folder)
    world.compact()  # and so does the last shard, of withdrawals alone
    world.push()
    assert pushed_commit(world.folder) == seen
    world.embed([*pictures(3, first=60, captions=1, split="train")])
    with Ledger.open(world.folder) as ledger:
        assert ledger.last_commit() == seen + 1
        assert ledger.census(after=seen).pairs == 3
    assert world.push().images == 3


def test_who_reads_goes_on_and_the_files_go_the_next_time(world: World, pictures: Pictures) -> None:
    records = pictures(20, captions=2, split="train")
    world.embed([*records])
    world.touch(records[5:])
    world.embed([*records])
    before = set(shard_files(world.folder.embeddings))
    with Ledger.read(world.folder) as reader:
        told = answers(reader)
        world.compact()
        assert before < set(shard_files(world.folder.embeddings))
        assert answers(reader) == told
        with Ledger.open(world.folder) as ledger:
            assert ledger.pictures() == 20
        is_as_made_anew(world.folder)
    world.compact()
    assert before.isdisjoint(shard_files(world.folder.embeddings))
    is_as_made_anew(world.folder)


def test_a_shard_that_is_open_is_read_to_its_end(world: World, pictures: Pictures) -> None:
    records = pictures(9, captions=1)
    world.embed([*records])
    with Ledger.open(world.folder) as ledger:
        shards = [Shard(file) for file in ledger.shards()]
    world.compact()
    left = set(shard_files(world.folder.embeddings))
    assert left.isdisjoint(shard.number for shard in shards)
    assert sum(len(shard.entries()) + len(shard.images) for shard in shards) == 18


def test_generated_captions_that_were_superseded_go(
    folder: CollectionFolder,
) -> None:
    names = [f"p{at}" for at in range(6)]
    write(folder.embeddings, 0, contents([entry(name) for name in names]), 1)
    describe(folder.generated, 0, [Described(sha256_of(name), f"of {name}") for name in names], 2)
    again = [Described(sha256_of(name), f"again of {name}") for name in names[:2]]
    describe(folder.generated, 1, again, 3)
    write(folder.embeddings, 1, contents([], withdrawn=[sha256_of("p5")]), 4)
    with Ledger.open(folder) as ledger:
        before = said(ledger)
    assert len(before) == 5
    report = compact(folder, pushed=4)
    assert report.bytes_after < report.bytes_before
    with Ledger.open(folder) as ledger:
        assert said(ledger) == before
        assert [ledger.described_rows(one.number) for one in ledger.described_shards()] == [
            [0, 1],
            [0, 1, 2],
        ]
        assert [*ledger.changed(4)] == []
    is_as_made_anew(folder)
    # A picture that comes back is described again.
    write(folder.embeddings, 9, contents([entry("p5")]), 5)
    with Ledger.open(folder) as ledger:
        assert said(ledger) == before
        assert ledger.undescribed() == 1


def said(ledger: Ledger) -> list[tuple[str, str]]:
    return sorted(
        (
            Shard(file).sha256s[one.row].hex(),
            DescribedShard(ledger.described_shard(one.shard)).caption(one.described_row)[0],
        )
        for file in ledger.shards()
        for one in ledger.generated_in(file.number)
    )


def test_small_shards_are_put_together_once(folder: CollectionFolder) -> None:
    for number in range(12):
        write(folder.embeddings, number, contents([entry(f"p{number}", "told")]))
    with Ledger.open(folder) as ledger:
        before = answers(ledger)
    report = compact(folder, pushed=-1)
    assert (report.shards_before, report.shards_after, report.rows_dropped) == (12, 1, 0)
    with Ledger.open(folder) as ledger:
        assert answers(ledger) == before
    again = compact(folder, pushed=-1)
    assert (again.shards_before, again.shards_after) == (1, 1)
    assert again.bytes_before == again.bytes_after


def test_files_that_a_kill_left_make_no_earlier_row_live_again(
    world: World, pictures: Pictures
) -> None:
    """Between forgetting shards and removing their files."""
    records = pictures(6, captions=1)
    world.embed([*records])
    world.touch(records)
    world.embed([*records])
    old = {file.path: file.path.read_bytes() for file in files(world.folder)}
    world.compact()
    with Ledger.open(world.folder) as ledger:
        files_then = {one.path: ledger.file_at(one.path) for one in records}
        (kept,) = ledger.shards()
    for path, content in old.items():
        path.write_bytes(content)
    with Ledger.open(world.folder) as ledger:
        assert {one.path: ledger.file_at(one.path) for one in records} == files_then
        assert len(ledger.live(kept.number).pictures) == 6
    is_as_made_anew(world.folder)
    world.compact()
    assert files(world.folder) == [kept]


def files(folder: CollectionFolder) -> list[ShardFile]:
    return [*shard_files(folder.embeddings).values()]
