from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from corpus.compaction import DEAD_SHARE, compact, dead_share
from corpus.described import Described, DescribedShard, write_described
from corpus.ledger import Ledger, forget_ledger
from corpus.records import ImageRecord, Record
from corpus.shards import shard_files
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import CollectionMissing, InvalidInput
from engine.settings import Settings
from engine.store import open_caption_store, open_image_store
from engine.types import CaptionResult, Filters, ImageHit, MadeWith, Vectors
from ingest.again import Stale, stale
from ingest.describe import DescribeReport, describe
from ingest.embed import EmbedOptions, embed
from ingest.fit import fit
from ingest.push import push

if TYPE_CHECKING:
    from tests.worlds import PixelEncoder, PlainDescriber

Pictures = Callable[..., list[ImageRecord]]


class Fixture:
    """A collection of pictures, some of which have captions."""

    def __init__(
        self,
        folder: CollectionFolder,
        card: CollectionCard,
        settings: Settings,
        encoder: PixelEncoder,
        describer: PlainDescriber,
    ) -> None:
        self.folder, self.card, self.settings = folder, card, settings
        self.encoder, self.describer = encoder, describer

    def embed(self, records: list[Record]) -> None:
        embed(records, self.encoder, self.folder, EmbedOptions(batch_size=4, shard_size=8))
        fit(self.folder, self.card)

    def describe(self, shard_size: int = 4, again: Collection[str] = ()) -> DescribeReport:
        return describe(
            self.folder,
            self.encoder,
            lambda: self.describer,
            again=again,
            batch_size=3,
            shard_size=shard_size,
        )

    def stale(self, **now: Any) -> Stale:
        return stale(self.folder, replace(self.describer.made_with, **now))

    def push(self) -> None:
        push(self.folder, self.card, self.settings)

    def pictures(self) -> dict[str, ImageHit]:
        with open_image_store(self.folder, self.card, self.settings) as store:
            return {hit.image_id: hit for hit in store.get(list(store.ids()))}

    def generated(self) -> int:
        with open_caption_store(self.folder, self.card, self.settings) as store:
            return store.count(Filters(sources=frozenset({"generated"})))


@pytest.fixture
def world(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
    describer: PlainDescriber,
) -> Fixture:
    return Fixture(folder, card, settings, encoder, describer)


def test_pictures_without_captions_are_described_once(world: Fixture, pictures: Pictures) -> None:
    bare, told = pictures(11), pictures(6, first=20, captions=1)
    world.embed([*bare, *told])
    assert world.describe().described == 11
    world.push()
    found = world.pictures()
    for record in bare:
        hit = found[record.image_id]
        assert hit.captions[0].startswith("a picture of kind")
        assert hit.payload["source"] == "generated"
    assert found[told[0].image_id].captions == told[0].captions
    assert found[told[0].image_id].payload["source"] == "human"
    assert world.generated() == 11
    assert world.describe().described == 0
    assert world.describer.described == 11


def test_a_described_picture_is_found_by_its_caption(world: Fixture, pictures: Pictures) -> None:
    world.embed([*pictures(5)])
    world.describe()
    world.push()
    text = world.pictures()["0002.png"].captions[0]
    with open_image_store(world.folder, world.card, world.settings) as store:
        query = world.encoder.encode_texts([text])[0]  # the map is raw: too few pairs
        assert store.search("caption", 1, mapped=query)[0].score == pytest.approx(1, abs=2e-3)
        assert text in store.search("words", 1, words=text)[0].captions


def test_no_describer_is_made_for_nothing(world: Fixture, pictures: Pictures) -> None:
    world.embed([*pictures(3, captions=1)])

    def refuse() -> PlainDescriber:
        raise AssertionError("made")

    assert describe(world.folder, world.encoder, refuse).described == 0


def test_described_after_the_push_is_pushed_too(world: Fixture, pictures: Pictures) -> None:
    world.embed([*pictures(20)])
    world.push()
    assert world.generated() == 0
    world.describe()
    world.push()
    assert world.generated() == 20
    assert all(hit.captions for hit in world.pictures().values())


def test_human_captions_win(world: Fixture, pictures: Pictures) -> None:
    records = pictures(4)
    world.embed([*records])
    world.describe()
    world.push()
    records[1] = replace(records[1], captions=("what a person says",))
    world.embed([*records])
    world.push()
    assert world.pictures()["0001.png"].captions == ("what a person says",)
    assert world.pictures()["0001.png"].payload["source"] == "human"
    assert world.generated() == 3


def test_a_changed_picture_is_described_again(world: Fixture, pictures: Pictures) -> None:
    records = pictures(4)
    world.embed([*records])
    world.describe()
    world.push()
    pictures(1, first=50)[0].path.replace(records[0].path)
    world.embed([*records])
    assert world.describe().described == 1
    world.push()
    assert world.generated() == 4


def test_a_moved_picture_keeps_its_description(world: Fixture, pictures: Pictures) -> None:
    records = pictures(4)
    world.embed([*records])
    world.describe()
    world.push()
    said = world.pictures()["0000.png"].captions
    new = records[0].path.with_name("new.png")
    records[0].path.rename(new)
    records[0] = replace(records[0], image_id="new.png", uri=str(new), path=new)
    world.embed([*records])
    assert world.describe().described == 0
    world.push()
    assert world.pictures()["new.png"].captions == said
    assert world.generated() == 4


def test_a_cut_repeats_at_most_one_shard(
    world: Fixture, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.embed([*pictures(16)])
    calls = 0
    plain = world.describer.describe_vectors

    def cut(raw: Vectors) -> list[CaptionResult]:
        nonlocal calls
        calls += 1
        if calls == 4:  # 8 are described by then, 6 of them written down
            raise RuntimeError("cut")
        return plain(raw)

    monkeypatch.setattr(world.describer, "describe_vectors", cut)
    with pytest.raises(RuntimeError):
        world.describe(shard_size=5)
    assert world.describer.described == 8
    assert world.describe(shard_size=5).described == 16 - 6
    assert world.describer.described == 16 + 2


def test_silence_and_refusal_are_reported(
    world: Fixture, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.embed([*pictures(6)])
    world.describer.silent_about = {0}
    plain = world.describer.describe_vectors
    refused = None

    def picky(raw: Vectors) -> list[CaptionResult]:
        nonlocal refused
        if refused is None and len(raw) == 1 and world.describer.described >= 3:
            refused = raw[0].copy()
        if refused is not None and any((row == refused).all() for row in raw):
            raise InvalidInput("no caption fits the prompt")
        if refused is None and world.describer.described >= 3:
            raise CollectionMissing("one of them")
        return plain(raw)

    monkeypatch.setattr(world.describer, "describe_vectors", picky)
    report = world.describe()
    assert (report.described, report.failed) == (4, 2)
    reasons = {example.uri.rsplit("/", 1)[-1]: example.reason for example in report.examples}
    assert reasons == {
        "0000.png": "the generator wrote nothing",
        "0003.png": "no caption fits the prompt",
    }


def test_descriptions_survive_a_lost_ledger(world: Fixture, pictures: Pictures) -> None:
    world.embed([*pictures(6)])
    world.describe()
    (world.folder.embeddings / "ledger.sqlite").unlink()
    assert world.describe().described == 0
    world.push()
    assert world.generated() == 6
    assert len(shard_files(world.folder.generated)) == 1


def test_pictures_are_described_again_when_they_are_named(
    world: Fixture, pictures: Pictures
) -> None:
    bare, told = pictures(6), pictures(2, first=20, captions=1)
    world.embed([*bare, *told])
    world.describe()
    world.push()
    before = world.pictures()
    named = [before[one.image_id].payload["sha256"] for one in (*bare[:2], *told)]
    world.describer.silent_about = {7}  # the second of them
    report = world.describe(again=[*named, "ab" * 32])
    assert (report.described, report.failed) == (1, 1)
    world.push()
    after = world.pictures()
    assert after[told[0].image_id].captions == told[0].captions
    assert all(after[one.image_id].captions for one in bare)  # what was there stays
    assert world.generated() == 6


def test_what_was_made_otherwise_than_now_is_stale(world: Fixture, pictures: Pictures) -> None:
    world.embed([*pictures(5), *pictures(2, first=20, captions=1)])
    world.describer.made_with = MadeWith("t5", "ridge 1", "coco", 100)
    world.describe()
    assert world.stale().sha256s == ()
    assert "all 5" in world.stale().text
    other = world.stale(map="ridge 2", captions=101)
    assert len(other.sha256s) == other.known == 5
    assert other.reasons == {"another map": 5, "other captions to borrow": 5}
    world.describer.made_with = replace(world.describer.made_with, map="ridge 2")
    world.describe(again=other.sha256s[:2])
    forget_ledger(world.folder)  # it is known from the shards alone
    assert sorted(world.stale().sha256s) == sorted(other.sha256s[2:])


def test_a_cut_while_describing_again_leaves_the_rest_stale(
    world: Fixture, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.embed([*pictures(12)])
    world.describe()
    world.describer.made_with = MadeWith("another")
    plain = world.describer.describe_vectors

    def cut(raw: Vectors) -> list[CaptionResult]:
        if world.describer.described >= 12 + 6:
            raise RuntimeError("cut")
        return plain(raw)

    with monkeypatch.context() as patched:
        patched.setattr(world.describer, "describe_vectors", cut)
        with pytest.raises(RuntimeError):
            world.describe(again=world.stale().sha256s)
    assert len(world.stale().sha256s) == 6
    assert world.describe(again=world.stale().sha256s).described == 6
    assert not world.stale().sha256s


def test_descriptions_of_an_earlier_version_are_stale(world: Fixture, pictures: Pictures) -> None:
    world.embed([*pictures(3)])
    with Ledger.open(world.folder) as ledger:
        sha256s = list(ledger.sha256s())
    vectors = world.encoder.encode_texts(["old"] * 3).astype("float16")
    old = [Described(sha256, "old") for sha256 in sha256s]
    file = write_described(
        world.folder.generated, 0, old, vectors, commit=2, encoder_id=world.encoder.id
    )
    assert DescribedShard(file).made_with() == [None] * 3
    assert world.describe().described == 0
    assert "an earlier version" in world.stale().text
    assert world.describe(again=world.stale().sha256s).described == 3
    assert not world.stale().sha256s


def test_describing_again_does_not_pile_up(world: Fixture, pictures: Pictures) -> None:
    world.embed([*pictures(8)])
    world.describe(shard_size=8)
    again = world.stale(map="other").sha256s
    for _ in range(3):
        world.describe(shard_size=8, again=again)
    assert dead_share(world.folder) > DEAD_SHARE
    compact(world.folder, pushed=-1)
    assert dead_share(world.folder) == 0
    assert len(shard_files(world.folder.generated)) == 1
    assert world.stale().known == 8
