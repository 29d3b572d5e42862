"""Labels in a collection: kept as a rule, told to its index, and there after all that comes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from corpus.corrections import correction_of
from corpus.lock import writing
from corpus.records import ImageRecord
from engine.alignment.alignment import Alignment
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import InvalidInput
from engine.progress import Cancellation, Cancelled, Progress
from engine.settings import Settings
from engine.store import open_caption_store, open_image_store
from engine.tags.labels import label_of
from engine.tags.making import known_of, make_tagger
from engine.tags.tagging import new_tagging, read_tagging, tagging_names
from engine.tensorfile import read_tensors, write_tensors
from engine.types import Filters
from ingest.corrections import note_correction, take_in
from ingest.embed import EmbedOptions, embed
from ingest.fit import fit
from ingest.labels import Labels
from ingest.pipeline import trouble_lines
from ingest.push import push
from ingest.tagging import Labelled, keep, look, page, take_back
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


def numbers(one: Labelled) -> set[int]:
    return {given.label for given in one.given}


def in_pages(folder: CollectionFolder, tagger: Any, count: int) -> Iterator[tuple[Labelled, ...]]:
    """All that get labels, a few at a time."""
    found = page(folder, tagger, None, count)
    yield found.pictures
    while found.after is not None:
        found = page(folder, tagger, found.after, count)
        yield found.pictures


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
    pages = list(in_pages(folder, tagger, 7))
    assert len(pages) == 6  # of 40 pictures in shards of 16
    told = [one for of in pages for one in of]
    assert {one.id: numbers(one) for one in told} == {one.id: numbers(one) for one in looked.shown}
    assert len(told) == looked.labelled

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


def test_what_people_say_of_a_picture_it_gets_and_a_correction_changes_that(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
    pictures: Pictures,
    tag: Callable[..., Any],
    shown: Callable[[], Shown],
) -> None:
    said, mended, *others = pictures(40, captions=1)
    said = replace(said, captions=("Two zeppelins over a lake.",))
    filled(folder, card, encoder, [said, mended, *others])
    push(folder, card, settings)
    tagger = tag("words", "zeppelin", least=0.9)
    assert [one.uri for one in look(folder, tagger, 100).shown] == [str(said.path)]
    push(folder, card, settings)
    assert {name for name, has in shown().items() if has} == {said.image_id}

    sha256 = hashlib.sha256(mended.path.read_bytes()).hexdigest()
    text = "A zeppelin at anchor."
    note_correction(folder, correction_of(sha256, "edited", text, replaced="", who="Ada"))
    take_in(folder, encoder)
    push(folder, card, settings)
    both = {said.image_id, mended.image_id}
    assert {name for name, has in shown().items() if has} == both
    captions = {said.captions[0], text}
    assert {one.caption for one in next(in_pages(folder, tagger, 100))} == captions
    assert {one.caption for one in look(folder, tagger, 100).shown} == captions
    tag("words", "zeppelin", "anchor", least=0.9)  # told again, without a picture written anew
    assert push(folder, card, settings).labelled == 1
    assert set(shown()[mended.image_id]) == {"zeppelin", "anchor"}


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
    undo = f"mrag tag -c {folder.name} --undo words"
    assert undo in push(folder, card, settings).label_troubles[0]
    assert undo in [one.remedy for one in verify(folder, card, settings) if one.subject == "labels"]
    take_back(folder, "words")
    push(folder, card, settings)
    assert all(one.ok for one in verify(folder, card, settings))
    tag("words", "picture")
    assert not all(one.ok for one in verify(folder, card, settings))  # the index knows nothing yet
    path.write_bytes(path.read_bytes()[:-3])
    mend(folder, card, settings)
    assert all(one.ok for one in verify(folder, card, settings))
    tag("words", "picture")
    other = Labels(folder, CollectionCard(card.name, "", "other", card.dim, ""))
    assert "made with encoder pixels" in other.troubles[0]
    assert other.of(np.ones((2, card.dim), np.float16), [(), ()]) == [(), ()]


Spoiled = Callable[[Path], None]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _other_bytes(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _folder_in_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _of_other_dimensions(path: Path) -> None:
    """Whole, by its checksum, and no tagging for these pictures."""
    kind = "mrag-tagging/1"
    tensors, told = read_tensors(path, kind, "")
    write_tensors(path, kind, tensors | {"map.mean": np.zeros(9)}, told)


@pytest.mark.parametrize(
    "spoil", [_cut, _other_bytes, _emptied, _folder_in_place, _of_other_dimensions]
)
def test_a_damaged_tagging_stops_nothing_and_the_others_go_on(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
    pictures: Pictures,
    tag: Callable[..., Any],
    shown: Callable[[], Shown],
    spoil: Spoiled,
) -> None:
    filled(folder, card, encoder, list(pictures(24, captions=1)))
    push(folder, card, settings)
    tag("first", "picture")
    push(folder, card, settings)
    alone = shown()
    tag("second", "caption")
    push(folder, card, settings)
    both, path = shown(), folder.tags / "second.safetensors"
    assert labelled(both) == {"picture", "caption"}
    whole = path.read_bytes()

    spoil(path)
    filled(folder, card, encoder, list(pictures(12, captions=1, first=24)))
    report = push(folder, card, settings)
    assert report.images == 12
    (told,) = report.label_troubles
    assert "'second'" in told
    assert f"mrag tag -c {folder.name} --undo second" in told
    assert list(trouble_lines(report)) == [f"gave pictures no labels of one tagging: {told}"]
    assert {name: one for name, one in shown().items() if name in alone} == alone
    again = push(folder, card, settings)
    assert (again.labelled, again.label_troubles) == (0, report.label_troubles)

    if path.is_dir():
        path.rmdir()
    path.write_bytes(whole)  # from a backup
    assert not push(folder, card, settings).label_troubles
    assert {name: one for name, one in shown().items() if name in both} == both


def test_who_tags_waits_for_nobody_and_the_next_push_shows_it(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
    pictures: Pictures,
    tag: Callable[..., Any],
    shown: Callable[[], Shown],
) -> None:
    filled(folder, card, encoder, list(pictures(24, captions=1)))
    push(folder, card, settings)
    with writing(folder):
        thread = Thread(target=tag, args=("words", "picture"))
        thread.start()
        thread.join()
    push(folder, card, settings)
    assert labelled(shown()) == {"picture"}

    def meanwhile(step: Progress) -> None:
        if step.stage == "label" and not step.done and "later" not in tagging_names(folder.tags):
            keep(folder, replace(read_tagging(folder.tags, "words"), name="later"))
            take_back(folder, "words")

    tag("words", "picture", "caption")
    push(folder, card, settings, on_progress=meanwhile)
    assert push(folder, card, settings).labelled == 0  # the same labels, by another name
    assert labelled(shown()) == {"picture", "caption"}
    take_back(folder, "later")
    push(folder, card, settings)
    assert not labelled(shown())
