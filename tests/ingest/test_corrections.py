from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from corpus.corrections import Correction, correction_of, waiting
from corpus.ledger import Ledger
from corpus.lock import writing
from corpus.pairs import gather
from corpus.records import CaptionRecord, ImageRecord, Record
from engine.alignment.alignment import Alignment, PairMoments
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import InvalidInput, StoreLocked
from engine.settings import Settings
from engine.store import open_caption_store, open_image_store, picture_id
from engine.store.generations import current
from ingest import corrections as learning
from ingest.corrections import (
    corrections_of,
    learn,
    learned,
    level,
    note_correction,
    refit,
    take_in,
    undo_of,
)
from ingest.embed import EmbedOptions, embed
from ingest.fit import fit
from ingest.push import push
from ingest.verify import verify
from tests.worlds import PixelEncoder

Pictures = Callable[..., list[ImageRecord]]


class Owner:
    """Fills a collection and corrects its pictures."""

    def __init__(
        self,
        folder: CollectionFolder,
        card: CollectionCard,
        settings: Settings,
        encoder: PixelEncoder,
    ) -> None:
        self.folder, self.card, self.settings, self.encoder = folder, card, settings, encoder

    def fill(self, records: list[Record]) -> None:
        embed(records, self.encoder, self.folder, EmbedOptions(batch_size=8, shard_size=16))

    def index(self) -> None:
        fit(self.folder, self.card)
        push(self.folder, self.card, self.settings)

    def say(self, record: ImageRecord, text: str) -> Correction:
        made = correction_of(content(record), "edited", text, replaced="", who="Ada")
        note_correction(self.folder, made)
        return made

    def undo(self, record: ImageRecord) -> None:
        note_correction(self.folder, undo_of(self.folder, content(record), "Bob"))

    def take_in(self) -> None:
        take_in(self.folder, self.encoder)

    def follow(self) -> None:
        self.take_in()
        level(self.folder, self.card, self.settings)
        learn(self.folder, self.card, self.settings)

    def shown(self, record: ImageRecord) -> tuple[tuple[str, ...], str]:
        with open_image_store(self.folder, self.card, self.settings) as images:
            (hit,) = images.get([picture_id(content(record))])
            return hit.captions, str(hit.payload["source"])

    def borrowed(self) -> set[str]:
        with open_caption_store(self.folder, self.card, self.settings) as captions:
            return {hit.text for hit in captions.get(list(captions.ids()))}

    def all_is_well(self) -> None:
        findings = verify(self.folder, self.card, self.settings)
        assert all(finding.ok for finding in findings), findings


def content(record: ImageRecord) -> str:
    return sha256(record.path.read_bytes()).hexdigest()


@pytest.fixture
def owner(
    folder: CollectionFolder, card: CollectionCard, settings: Settings, encoder: PixelEncoder
) -> Owner:
    return Owner(folder, card, settings, encoder)


def same(one: PairMoments, other: PairMoments) -> bool:
    return (
        one.n == other.n
        and np.allclose(one.image_text, other.image_text, atol=1e-9)
        and np.allclose(one.image_image, other.image_image, atol=1e-9)
        and np.allclose(one.text_sum, other.text_sum, atol=1e-9)
        and np.array_equal(one.pictures, other.pictures)
    )


def test_a_correction_is_found_at_once_and_its_undo_leaves_no_trace(
    owner: Owner, pictures: Pictures
) -> None:
    records = pictures(8)
    owner.fill([*records, CaptionRecord("of no picture")])
    owner.index()
    before = owner.shown(records[0]), owner.borrowed(), Alignment.load(owner.folder.alignment)
    generation = current(owner.folder)
    owner.say(records[0], "two herons")
    owner.take_in()
    report = level(owner.folder, owner.card, owner.settings)
    assert report is not None
    assert (report.images, report.captions, report.everything) == (1, 1, False)
    answers = current(owner.folder)
    assert generation is not None
    assert answers is not None
    assert answers.number == generation.number
    assert owner.shown(records[0]) == (("two herons",), "human")
    assert "two herons" in owner.borrowed()
    owner.follow()
    owner.all_is_well()
    owner.undo(records[0])
    owner.follow()
    owner.all_is_well()
    after = owner.shown(records[0]), owner.borrowed(), Alignment.load(owner.folder.alignment)
    assert after[:2] == before[:2]
    assert after[2].maps_like(before[2])
    kinds = [one.kind for one in corrections_of(owner.folder, content(records[0]))]
    assert kinds == ["edited", "undone"]
    with pytest.raises(InvalidInput, match="nothing to undo"):
        owner.undo(records[0])


def test_the_moments_of_a_refit_are_those_of_all_pairs_read_anew(
    owner: Owner, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "CHOSEN_ANEW", 0)
    records = [*pictures(100, captions=2), *pictures(4, first=100)]
    owner.fill([*records])
    fit(owner.folder, owner.card)
    chosen = PairMoments.load(owner.folder.moments)
    before = Alignment.load(owner.folder.alignment)
    for at, text in ((0, "another one"), (0, "yet another"), (100, "first of all"), (101, "gone")):
        owner.say(records[at], text)
        owner.take_in()
        made = refit(owner.folder, owner.card, Alignment.load(owner.folder.alignment))
        assert "learned" in made.fitted_on  # not chosen anew
    owner.undo(records[101])
    owner.take_in()
    made = refit(owner.folder, owner.card, Alignment.load(owner.folder.alignment))
    with Ledger.open(owner.folder) as ledger:
        wanted = gather(owner.folder, ledger, owner.card.dim).total()
    assert same(PairMoments.load(owner.folder.moments), wanted)
    again = Alignment.fit(wanted, made.method, strength=made.strength)
    assert made.mean_image is not None
    assert again.mean_image is not None
    assert np.allclose(made.mean_image, again.mean_image)
    for record in (records[0], records[0], records[100]):
        owner.undo(record)
    owner.take_in()
    made = refit(owner.folder, owner.card, Alignment.load(owner.folder.alignment))
    back = PairMoments.load(owner.folder.moments)
    for name in ("image_sum", "text_sum", "image_image", "image_text", "pictures"):
        assert np.array_equal(getattr(back, name), getattr(chosen, name))  # bit for bit
    assert made.fingerprint == before.fingerprint


def test_a_map_is_moved_by_the_pairs_of_a_collection_with_a_memory(
    owner: Owner, pictures: Pictures, settings: Settings
) -> None:
    # The memory says of a picture what is far from it; what is told of the others is the opposite.
    memory = CollectionFolder(settings.home, "memory")
    memory.write_card(CollectionCard("memory", "spec", owner.encoder.id, 16, "consensus"))
    words: list[Record] = [CaptionRecord(f"word {at}") for at in range(60)]
    embed(words, owner.encoder, memory, EmbedOptions(batch_size=8, shard_size=64))
    fit(memory, memory.read_card())
    push(memory, memory.read_card(), settings)
    owner.card = CollectionCard("noise", "spec", owner.encoder.id, 16, "consensus", "memory")
    owner.folder.write_card(owner.card)
    records = pictures(30)
    owner.fill([*records])
    owner.index()
    before = Alignment.load(owner.folder.alignment)
    owner.say(records[0], "word 0")
    owner.follow()
    assert [one.score for one in learned(owner.folder)] == [None, None]  # none is of its own pairs
    for at, record in enumerate(records[1:], 1):
        owner.say(record, f"word {at}")
    owner.follow()
    after = Alignment.load(owner.folder.alignment)
    lent = Alignment.load(memory.alignment)
    assert after.maps_texts_like(lent)  # its captions stay where they are
    steps = learned(owner.folder)
    assert [one.corrections for one in steps] == [0, 1, 30]
    assert steps[-1].held_out == 30
    chosen = [one.score for one in after.choices if one.chosen]
    assert chosen == [max(one.score for one in after.choices)]
    owner.all_is_well()
    for record in records:
        owner.undo(record)
    owner.follow()
    assert Alignment.load(owner.folder.alignment).maps_like(before)


def test_what_is_said_while_another_writes_waits_and_is_taken_in_once(
    owner: Owner, pictures: Pictures
) -> None:
    records = pictures(4)
    owner.fill([*records, CaptionRecord("of no picture")])
    owner.index()
    owner.say(records[0], "said meanwhile")
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool, writing(owner.folder), pytest.raises(StoreLocked):
        pool.submit(owner.take_in).result()
    assert [one.text for one in corrections_of(owner.folder, content(records[0]))] == [
        "said meanwhile"
    ]
    made = take_in(owner.folder, owner.encoder)
    # As a kill leaves it that came before what waited was let go of.
    note_correction(owner.folder, made[0])
    assert take_in(owner.folder, owner.encoder) == []
    assert not waiting(owner.folder.corrections)
    assert len(corrections_of(owner.folder, content(records[0]))) == 1


def test_two_who_correct_at_once_are_both_kept_and_the_last_stands(
    owner: Owner, pictures: Pictures
) -> None:
    (record,) = pictures(1)
    owner.fill([record, CaptionRecord("of no picture")])
    owner.index()
    owner.say(record, "by one")
    owner.say(record, "by the other")
    owner.follow()
    assert owner.shown(record) == (("by the other",), "human")
    told = [one.text for one in corrections_of(owner.folder, content(record))]
    assert told == ["by one", "by the other"]


def test_a_correction_outlives_an_ingest_a_moved_file_and_a_new_caption(
    owner: Owner, pictures: Pictures, tmp_path: Path
) -> None:
    records = pictures(3)
    owner.fill([*records, CaptionRecord("of no picture")])
    owner.index()
    owner.say(records[0], "two herons")
    owner.follow()
    moved = tmp_path / "elsewhere" / "moved.png"
    moved.parent.mkdir()
    records[0].path.rename(moved)
    again = ImageRecord("moved.png", str(moved), moved, ("by its source",))
    owner.fill([again, *records[1:]])
    owner.index()
    assert owner.shown(again) == (("two herons", "by its source"), "human")
    owner.all_is_well()


def test_what_was_learned_can_be_read_and_is_bounded(owner: Owner, pictures: Pictures) -> None:
    (record,) = pictures(1)
    owner.fill([record, CaptionRecord("of no picture")])
    owner.index()
    assert learned(owner.folder) == []
    owner.say(record, "two herons")
    owner.follow()
    first, now = learned(owner.folder)
    assert (first.corrections, now.corrections) == (0, 1)
    lines = (owner.folder.corrections / "learned.jsonl").read_text().splitlines()
    assert [json.loads(line)["corrections"] for line in lines] == [0, 1]
