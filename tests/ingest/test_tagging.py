"""Labels in a collection: kept as a rule, told to its index, and there after all that comes."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from corpus.lock import writing
from corpus.records import ImageRecord
from engine.alignment.alignment import Alignment
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import Damaged, InvalidInput, StoreLocked
from engine.progress import Cancellation, Cancelled, Progress
from engine.settings import Settings
from engine.store import open_caption_store, open_image_store
from engine.tags.labels import label_of
from engine.tags.making import known_of, make_tagger
from engine.tags.tagging import new_tagging
from engine.types import Filters
from ingest.embed import EmbedOptions, embed
from ingest.fit import fit
from ingest.labels import Labels
from ingest.push import push
from ingest.tagging import keep, look, take_back
from ingest.verify import mend, verify
from tests.worlds import PixelEncoder

Pictures = Callable[..., list[ImageRecord]]
Shown = dict[str, tuple[str, ...]]


@pytest.fixture
def tag(
    folder: CollectionFolder, card: CollectionCard, settings: Settings, encoder: PixelEncoder
) -> Callable[..., Any]:
    """Make and keep a tagging, which gives pictures whatever words its chances let."""

    def tag(name: str, *words: str, least: float = 0.02) -> Any:
        alignment = Alignment.load(folder.alignment)
        with (
            open_image_store(folder, card, settings) as images,
            open_caption_store(folder, card, settings) as captions,
        ):
            known = known_of(alignment, images, [captions])
        tagger = make_tagger(tuple(map(label_of, words)), encoder, known, least=least)
        keep(folder, new_tagging(name, tagger, card.encoder_id, who="Ada"))
        return tagger

    return tag


@pytest.fixture
def shown(
    folder: CollectionFolder, card: CollectionCard, settings: Settings
) -> Callable[[], Shown]:
    """What the index has of each picture."""

    def shown() -> Shown:
        with open_image_store(folder, card, settings) as images:
            hits = images.get(list(images.ids()))
            facets = images.facets().labels
            for label, count in facets.items():
                assert images.count(Filters(labels=frozenset({label}))) == count
        return {hit.image_id: tuple(hit.payload["labels"]) for hit in hits}

    return shown


def filled(
    folder: CollectionFolder, card: CollectionCard, encoder: PixelEncoder, records: list[Any]
) -> None:
    embed(records, encoder, folder, EmbedOptions(batch_size=8, shard_size=16))
    if not folder.alignment.exists():
        fit(folder, card)


def labelled(shown: Shown) -> set[str]:
    return {label for labels in shown.values() for label in labels}


def test_labels_reach_the_index_without_encoding_a_picture_and_stay(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
    pictures: Pictures,
    tag: Callable[..., Any],
    shown: Callable[[], Shown],
) -> None:
    filled(folder, card, encoder, list(pictures(40, captions=1)))
    push(folder, card, settings)
    assert not labelled(shown())
    encoded = encoder.pictures
    tagger = tag("words", "picture", "caption", "seven")
    report = push(folder, card, settings)
    first = shown()
    assert (report.points, report.deleted, report.everything) == (0, 0, False)
    assert report.labelled == sum(map(bool, first.values())) > 0
    looked = look(folder, tagger, 100)
    assert {one.uri: len(one.given) for one in looked.shown} == {
        str(record.path): len(first[record.image_id])
        for record in pictures(40, captions=1)
        if first[record.image_id]
    }
    assert push(folder, card, settings).labelled == 0

    # Written anew, with pictures that came later, and with another map: the same for the same.
    filled(folder, card, encoder, list(pictures(24, captions=1, first=40)))
    fit(folder, card, method="centred")
    push(folder, card, settings)
    later = shown()
    assert {name: later[name] for name in first} == first
    assert any(labels for name, labels in later.items() if name not in first)
    assert push(folder, card, settings, rebuild=True).everything
    assert shown() == later
    assert encoder.pictures == encoded + 24

    take_back(folder, "words")
    assert push(folder, card, settings).labelled == sum(map(bool, later.values()))
    assert not labelled(shown())


def test_taggings_stand_apart_and_one_of_a_name_replaces_the_other(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
    pictures: Pictures,
    tag: Callable[..., Any],
    shown: Callable[[], Shown],
) -> None:
    filled(folder, card, encoder, list(pictures(40, captions=1)))
    push(folder, card, settings)
    tag("one", "picture", "caption")
    push(folder, card, settings)
    alone = shown()
    tag("two", "Picture", "seven")
    push(folder, card, settings)
    both = shown()
    assert labelled(both) <= {"picture", "Picture", "caption", "seven"}
    assert all(len({one.casefold() for one in of}) == len(of) for of in both.values())
    take_back(folder, "two")
    push(folder, card, settings)
    assert shown() == alone
    tag("one", "seven", "picture")
    push(folder, card, settings)
    assert "caption" not in labelled(shown())
    with pytest.raises(InvalidInput, match="there is: one"):
        take_back(folder, "two")


def test_a_push_that_ends_in_the_middle_is_finished_by_the_next(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
    pictures: Pictures,
    tag: Callable[..., Any],
    shown: Callable[[], Shown],
) -> None:
    filled(folder, card, encoder, list(pictures(48, captions=1)))
    push(folder, card, settings)
    tag("words", "picture", "caption", "seven")
    cancellation = Cancellation()

    def stop(step: Progress) -> None:
        if step.stage == "label" and step.done == 1:
            cancellation.ask()

    with cancellation.watched(), pytest.raises(Cancelled):
        push(folder, card, settings, on_progress=stop)
    push(folder, card, settings)
    level = shown()
    push(folder, card, settings, rebuild=True)
    assert shown() == level
    assert labelled(level)


def test_a_tagging_that_cannot_be_read_is_named_and_can_be_taken_back(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
    pictures: Pictures,
    tag: Callable[..., Any],
) -> None:
    filled(folder, card, encoder, list(pictures(24, captions=1)))
    push(folder, card, settings)
    tag("words", "picture")
    path = folder.tags / "words.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(Damaged, match="mrag tag --undo words"):
        push(folder, card, settings)
    troubles = {one.subject: one.remedy for one in verify(folder, card, settings)}
    assert troubles["labels"] == "mrag tag --undo words"
    take_back(folder, "words")
    push(folder, card, settings)
    assert all(one.ok for one in verify(folder, card, settings))
    tag("words", "picture")
    assert not all(one.ok for one in verify(folder, card, settings))  # the index knows nothing yet
    path.write_bytes(path.read_bytes()[:-3])
    mend(folder, card, settings)
    assert all(one.ok for one in verify(folder, card, settings))
    tag("words", "picture")
    with pytest.raises(Damaged, match="made with encoder pixels"):
        Labels(folder, CollectionCard(card.name, "", "other", card.dim, ""))


def test_who_tags_waits_for_nobody_and_says_so(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
    pictures: Pictures,
) -> None:
    filled(folder, card, encoder, list(pictures(24, captions=1)))
    push(folder, card, settings)
    refused: list[str] = []

    def other() -> None:
        try:
            take_back(folder, "words")
        except StoreLocked as error:
            refused.append(str(error))

    with writing(folder):
        thread = Thread(target=other)
        thread.start()
        thread.join()
    assert "being written to" in refused[0]
