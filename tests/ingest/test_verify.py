"""The index and the map are held against the corpus, and what is wrong is mended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from corpus.ledger import Ledger
from corpus.parquet import shard_files
from corpus.records import CaptionRecord, ImageRecord, WholeFolder
from corpus.shards import Shard
from corpus.verification import Finding
from engine.alignment.alignment import Alignment
from engine.collection import CollectionCard, CollectionFolder
from engine.settings import Settings
from engine.store import open_caption_store, open_image_store, picture_id
from engine.store.generations import current
from ingest.embed import EmbedOptions, embed
from ingest.fit import fit
from ingest.points import points_of
from ingest.push import push
from ingest.verify import mend, verify
from tests.worlds import PixelEncoder

Pictures = Callable[..., list[ImageRecord]]


class World:
    """A collection with an index."""

    def __init__(
        self,
        folder: CollectionFolder,
        card: CollectionCard,
        settings: Settings,
        encoder: PixelEncoder,
        records: list[ImageRecord],
    ) -> None:
        self.folder, self.card, self.settings, self.encoder = folder, card, settings, encoder
        self.records = records
        self.embed()
        fit(folder, card, method="ridge")
        self.push()

    def embed(self) -> None:
        alone = CaptionRecord("alone", split="train")
        options = EmbedOptions(batch_size=4, shard_size=8)
        whole = WholeFolder(self.records[0].path.parent)
        embed([*self.records, alone, whole], self.encoder, self.folder, options)

    def push(self) -> None:
        push(self.folder, self.card, self.settings)

    def wrong(self) -> list[Finding]:
        return [one for one in verify(self.folder, self.card, self.settings) if not one.ok]

    def only(self) -> Finding:
        (found,) = self.wrong()
        return found

    def mend(self) -> None:
        mend(self.folder, self.card, self.settings)

    def counts(self) -> tuple[int, int]:
        with (
            open_image_store(self.folder, self.card, self.settings) as images,
            open_caption_store(self.folder, self.card, self.settings) as captions,
        ):
            return images.count(), captions.count()


@pytest.fixture
def world(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
    pictures: Pictures,
) -> World:
    return World(folder, card, settings, encoder, pictures(30, captions=2, split="train"))


def test_what_fits_is_said_to_fit(world: World) -> None:
    found = verify(world.folder, world.card, world.settings)
    assert all(one.ok for one in found)
    assert [one.subject for one in found] == ["shards", "ledger", "map", "index"]
    assert "30 pictures and 61 captions" in found[-1].detail


def test_points_that_the_index_lacks_or_has_too_many_are_found_and_mended(world: World) -> None:
    with open_image_store(world.folder, world.card, world.settings) as images:
        ids = [*images.ids()]
        images.delete(ids[:2])
        images.flush()
    found = world.only()
    assert (found.subject, found.remedy) == ("index", "mrag push noise --rebuild")
    assert "of 30 pictures it lacks 2, and it has 0 that are none" in found.detail
    world.mend()
    assert world.wrong() == []
    assert world.counts() == (30, 61)


def test_as_many_points_of_other_pictures_are_found(world: World) -> None:
    """Counts alone would not tell."""
    with Ledger.read(world.folder) as ledger:
        file = ledger.shards()[0]
        alignment = Alignment.load(world.folder.alignment)
        made, _ = points_of(Shard(file), ledger.live(file.number), {}, alignment, {})
    stranger = replace(made[0], id=picture_id("ab" * 32), sha256="ab" * 32)
    with open_image_store(world.folder, world.card, world.settings) as images:
        images.delete([picture_id(made[0].sha256)])
        images.upsert([stranger])
        images.flush()
        assert images.count() == 30
    assert "it lacks 1, and it has 1 that are none" in world.only().detail
    world.mend()
    assert world.wrong() == []


def test_captions_that_the_index_lacks_are_found_and_mended(world: World) -> None:
    with open_caption_store(world.folder, world.card, world.settings) as captions:
        captions.delete([*captions.ids()][:3])
        captions.flush()
    assert "it has 58 captions, not 61" in world.only().detail
    world.mend()
    assert (world.wrong(), world.counts()) == ([], (30, 61))


def test_an_index_that_was_not_told_is_found_and_a_push_mends_it(world: World) -> None:
    world.records[0] = replace(world.records[0], captions=("told anew",))
    world.records.pop().path.unlink()
    world.embed()
    found = world.only()
    assert found.remedy == "mrag push noise"
    assert "more in the shards" in found.detail
    world.push()
    assert (world.wrong(), world.counts()) == ([], (29, 58))


def test_another_map_than_was_fitted_is_found_and_mended(world: World) -> None:
    fit(world.folder, world.card, method="centred")
    found = world.only()
    assert (found.subject, found.remedy) == ("index", "mrag push noise")
    assert "another map" in found.detail
    world.mend()
    assert world.wrong() == []
    answers = current(world.folder)
    assert answers is not None
    assert Alignment.load(answers.alignment).method == "centred"


def test_a_map_that_cannot_be_read_is_found_and_mended(world: World) -> None:
    world.folder.alignment.write_bytes(b"nonsense")
    assert {one.subject for one in world.wrong()} == {"map", "index"}
    world.mend()
    assert world.wrong() == []
    found = Alignment.load(world.folder.alignment)
    assert (found.method, found.fitted_on["request"]["method"]) == ("ridge", "ridge")


def test_a_collection_that_was_only_embedded_is_told_what_comes_next(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
    pictures: Pictures,
) -> None:
    embed(pictures(30, captions=1, split="train"), encoder, folder)
    found = [one for one in verify(folder, card, settings) if not one.ok]
    assert [one.subject for one in found] == ["map", "index"]
    assert found[0].remedy == "mrag fit noise && mrag push noise"
    mend(folder, card, settings)
    assert all(one.ok for one in verify(folder, card, settings))


def test_what_was_in_a_damaged_shard_is_embedded_again_and_nothing_else(world: World) -> None:
    file = shard_files(world.folder.embeddings)[1]
    file.path.write_bytes(file.path.read_bytes()[:-9])
    assert [one.subject for one in world.wrong()] == ["shard"]
    world.mend()
    assert world.wrong() == []
    there, _ = world.counts()
    assert there < 30
    encoded = world.encoder.pictures
    world.embed()
    assert world.encoder.pictures == encoded + 30 - there
    world.push()
    assert (world.wrong(), world.counts()) == ([], (30, 61))


def test_the_newest_shard_lost_the_index_learns_what_came_in_its_place(world: World) -> None:
    """A commit that the index has seen is not given to what it has not."""
    newest = [*shard_files(world.folder.embeddings).values()][-1]
    newest.path.unlink()
    lost = world.records[-6:]
    for at, one in enumerate(lost):
        world.records[24 + at] = replace(one, captions=(f"said anew {at}",))
    world.embed()
    world.push()
    assert world.wrong() == []
    with open_caption_store(world.folder, world.card, world.settings) as captions:
        texts = {hit.text for hit in captions.get([*captions.ids()])}
    assert {f"said anew {at}" for at in range(6)} <= texts
    assert not any(text in texts for one in lost for text in one.captions)
