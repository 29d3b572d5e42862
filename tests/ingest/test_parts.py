"""Parts of a source, embedded apart, are joined to what one process makes of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.entry import Entry
from corpus.ledger import Ledger
from corpus.lock import writing
from corpus.parquet import shard_files
from corpus.records import CaptionRecord, ImageRecord, Record, Skipped, WholeFolder
from corpus.shards import Shard
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import IncompatibleIndex, InvalidInput, StoreLocked
from ingest.embed import EmbedOptions, EmbedReport, embed
from ingest.parts import Part, adopt_parts, embed_part
from tests.worlds import PixelEncoder, paint, record

Pictures = Callable[..., list[ImageRecord]]
SMALL = EmbedOptions(batch_size=2, shard_size=3)


class Parts:
    """A collection that is embedded in parts."""

    def __init__(
        self, folder: CollectionFolder, card: CollectionCard, encoder: PixelEncoder
    ) -> None:
        self.folder, self.card, self.encoder = folder, card, encoder

    def embed(self, records: Sequence[Record], number: int, of: int) -> EmbedReport:
        return embed_part(records, Part(number, of), self.encoder, self.folder, self.card, SMALL)

    def all(self, records: Sequence[Record], of: int = 3) -> None:
        for number in range(1, of + 1):
            self.embed(records, number, of)

    def whole(self, records: Sequence[Record]) -> EmbedReport:
        return embed(records, self.encoder, self.folder, SMALL)

    def place(self, name: str) -> CollectionFolder:
        return CollectionFolder(self.folder.path / "parts", name)


@pytest.fixture
def parts(folder: CollectionFolder, card: CollectionCard, encoder: PixelEncoder) -> Parts:
    return Parts(folder, card, encoder)


def living(folder: CollectionFolder) -> dict[str, tuple[Entry, list[list[float]]]]:
    """Every picture with its vector and those of its captions."""
    with Ledger.open(folder) as ledger:
        found = {}
        for file in ledger.shards():
            shard, live = Shard(file), ledger.live(file.number)
            for row, entry in zip(live.pictures, shard.entries(live.pictures), strict=True):
                rows = np.concatenate([shard.images[row][None], shard.captions[shard.span(row)]])
                found[entry.sha256] = entry, rows.tolist()
        return found


def loose(folder: CollectionFolder) -> dict[CaptionRecord, list[float]]:
    with Ledger.open(folder) as ledger:
        return {
            one: shard.captions[shard.offsets[row]].tolist()
            for file in ledger.shards()
            for shard, rows in [(Shard(file), ledger.live(file.number).loose)]
            for row, one in zip(rows, shard.loose_captions(rows), strict=True)
        }


def only(folder: CollectionFolder) -> Entry:
    ((entry, _),) = living(folder).values()
    return entry


def copied(one: ImageRecord, name: str, *captions: str, split: str = "train") -> ImageRecord:
    path = one.path.with_name(name)
    shutil.copy(one.path, path)
    return replace(one, image_id=name, uri=str(path), path=path, captions=captions, split=split)


def part_of(one: Record, of: int) -> int:
    """The part that a record is of."""
    (number,) = (n for n in range(1, of + 1) if [*Part(n, of).records([one])])
    return number


# What a part is


@pytest.mark.parametrize("text", ["1/1", "3/8", " 2/2 ", "9999/9999"])
def test_a_part_is_told_by_its_number(text: str) -> None:
    number, of = text.strip().split("/")
    assert Part.parse(text) == Part(int(number), int(of))


@pytest.mark.parametrize(
    "text",
    ["", "0/3", "4/3", "3", "1/0", "-1/3", "1/-3", "1.5/3", "1/3/5", "a/b", "1 / 3", "10000/10000"],
)
def test_what_is_no_part_is_named_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput, match="3/8"):
        Part.parse(text)


@given(st.text(max_size=20) | st.from_regex(r"\s?[0-9]{0,5}/[0-9]{0,5}"))
def test_any_text_is_a_part_or_refused(text: str) -> None:
    number, slash, of = text.strip().partition("/")
    try:
        part = Part.parse(text)
    except InvalidInput:
        return
    assert (part.number, part.of, slash) == (int(number), int(of), "/")
    assert 1 <= part.number <= part.of <= 9999


@given(st.lists(st.text(max_size=8), max_size=30, unique=True), st.integers(1, 9))
def test_shares_are_all_and_no_record_is_in_two(names: list[str], of: int) -> None:
    records: list[Record] = [
        *(ImageRecord(name, name, Path(f"/{name}")) for name in names),
        *(CaptionRecord(name) for name in names),
        Skipped("row 1", "is empty"),
    ]
    shares = [[*Part(n, of).records([*records, WholeFolder(Path("/"))])] for n in range(1, of + 1)]
    together = [one for share in shares for one in share]
    assert len(together) == len(records)
    assert {repr(one) for one in together} == {repr(one) for one in records}


# What comes of them


def test_all_parts_make_what_one_process_makes(
    parts: Parts, pictures: Pictures, tmp_path: Path, card: CollectionCard
) -> None:
    records: list[Record] = [
        *pictures(17, captions=2, split="train"),
        *pictures(4, first=40),
        *(CaptionRecord(f"alone {at}", split="train") for at in range(9)),
    ]
    undisturbed = CollectionFolder(tmp_path / "other", "whole")
    undisturbed.write_card(card)
    embed(records, PixelEncoder(), undisturbed, SMALL)
    parts.all(records)
    report = adopt_parts(parts.folder)
    assert report.adopted == ("1-of-3", "2-of-3", "3-of-3")
    assert (report.pictures, report.joined, report.captions) == (21, 0, 17 * 2 + 9)
    assert living(parts.folder) == living(undisturbed)
    assert loose(parts.folder) == loose(undisturbed)
    assert not parts.place("1-of-3").path.exists()
    encoded = parts.encoder.pictures, len(parts.encoder.texts)
    assert encoded == (21, 43)
    again = parts.whole(records)
    assert (again.unchanged, again.embedded, again.captions) == (30, 0, 0)
    assert (parts.encoder.pictures, len(parts.encoder.texts)) == encoded
    before = shard_files(parts.folder.embeddings)
    assert adopt_parts(parts.folder).adopted == ()
    assert shard_files(parts.folder.embeddings) == before


def twins(one: ImageRecord, *captions: str, split: str) -> ImageRecord:
    """A copy of a picture that is another part's, of two."""
    for at in range(50):
        other = copied(one, f"copy {at}.png", *captions, split=split)
        if part_of(other, 2) != part_of(one, 2):
            return other
        other.path.unlink()
    raise AssertionError("all are of one part")


def test_the_same_picture_in_two_parts_is_one(parts: Parts, pictures: Pictures) -> None:
    first = replace(pictures(1)[0], captions=("one", "both"), split="train")
    records = [first, twins(first, "both", "two", split="train")]
    parts.all(records, of=2)
    report = adopt_parts(parts.folder)
    assert (report.pictures, report.joined) == (1, 1)
    found = only(parts.folder)
    assert {name.image_id for name in found.names} == {one.image_id for one in records}
    assert set(found.captions) == {"one", "both", "two"}
    ((entry, (_, *vectors)),) = living(parts.folder).values()
    expected = parts.encoder.encode_texts([*entry.captions]).astype(np.float16)
    assert vectors == expected.tolist()
    assert parts.whole(records).embedded == 0
    assert set(only(parts.folder).captions) == {"one", "both", "two"}


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
@pytest.mark.parametrize("captions", [(), ("one",)])
def test_names_stand_in_the_order_of_reading_whichever_part_comes_first(
    parts: Parts, pictures: Pictures, order: tuple[int, int], captions: tuple[str, ...]
) -> None:
    first = replace(pictures(1)[0], captions=captions, split="train")
    below = first.path.parent / "0" / "0.png"
    below.parent.mkdir()
    shutil.copy(first.path, below)
    deeper = ImageRecord("0/0.png", str(below), below, split="train")
    records = [first, twins(first, split="train"), deeper]
    for number in order:
        parts.embed(records, number, 2)
        adopt_parts(parts.folder)
    found = only(parts.folder)
    assert [name.image_id for name in found.names] == [one.image_id for one in records]
    assert found.uri == first.uri
    again = parts.whole(records)
    assert (again.embedded, again.reused, again.skipped) == (0, 0, {"duplicate": 2})


def test_copies_of_two_splits_in_two_parts_are_a_conflict(parts: Parts, pictures: Pictures) -> None:
    first = replace(pictures(1)[0], captions=("one",), split="train")
    records = [first, twins(first, "two", split="test")]
    parts.all(records, of=2)
    adopt_parts(parts.folder)
    found = only(parts.folder)
    assert (found.captions, found.split) in [(("one",), "train"), (("two",), "test")]
    assert len(found.names) == 2
    assert len(found.conflicts) == 1


def test_words_whose_vector_no_part_has_are_left_to_the_next_ingest(
    parts: Parts, pictures: Pictures
) -> None:
    """A part has a conflict of its own; joined to another picture its other side counts."""
    first = replace(pictures(1)[0], captions=("one",), split="train")
    other = twins(first, "two", split="test")
    more = next(
        one
        for at in range(50)
        for one in [copied(first, f"more {at}.png", "three", split="test")]
        if part_of(one, 2) == part_of(first, 2)
    )
    parts.whole([other])
    parts.embed([first, more], part_of(first, 2), 2)
    assert adopt_parts(parts.folder).joined == 1
    found = only(parts.folder)
    assert (found.captions, found.split) == (("two",), "test")
    parts.whole([other, first, more])
    assert only(parts.folder).captions == ("two", "three")


def test_a_file_that_holds_another_picture_now_is_taken_from_the_old_one(
    parts: Parts, pictures: Pictures
) -> None:
    records = pictures(4, captions=1)
    kept = copied(records[1], "kept.png", "kept")
    parts.whole([*records, kept])
    old = living(parts.folder).keys()
    for at in (0, 1):
        paint(records[at].path, 100 + at)
        os.utime(records[at].path, ns=(10**18, 10**18))
    parts.all(records)
    adopt_parts(parts.folder)
    found = living(parts.folder)
    paths = {name.path for entry, _ in found.values() for name in entry.names}
    assert paths == {str(one.path) for one in [*records, kept]}
    assert len(found) == 5  # the first is gone, the second is there under its other name
    with Ledger.open(parts.folder) as ledger:
        assert ledger.gone(0) == sorted(old - found.keys())


def test_what_is_embedded_already_is_left_to_the_collection(
    parts: Parts, pictures: Pictures
) -> None:
    records = pictures(9, captions=1, split="train")
    parts.whole(records[:6])
    encoded = parts.encoder.pictures
    records[0] = replace(records[0], captions=("told anew",))
    reports = [parts.embed(records, number, 2) for number in (1, 2)]
    assert sum(report.unchanged for report in reports) == 5
    assert parts.encoder.pictures == encoded + 4
    report = adopt_parts(parts.folder)
    assert (report.pictures, report.joined) == (3, 1)
    captions = {entry.image_id: entry.captions for entry, _ in living(parts.folder).values()}
    assert captions == {one.image_id: one.captions for one in records}


def test_a_share_of_a_folder_removes_nothing(parts: Parts, pictures: Pictures) -> None:
    records = pictures(6)
    parts.whole(records)
    records[0].path.unlink()
    rest: list[Record] = [*records[1:], WholeFolder(records[0].path.parent)]
    parts.all(rest)
    adopt_parts(parts.folder)
    assert len(living(parts.folder)) == 6
    assert parts.whole(rest).removed == 1  # who sees all of it can tell


# What is left


def test_a_part_that_is_not_finished_is_left_and_named(parts: Parts, pictures: Pictures) -> None:
    records = pictures(12)
    parts.embed(records, 1, 2)
    parts.encoder.fails_at = parts.encoder.pictures + 2
    with pytest.raises(RuntimeError):
        parts.embed(records, 2, 2)
    report = adopt_parts(parts.folder)
    assert (report.adopted, report.left) == (("1-of-2",), ("2-of-2",))
    parts.encoder.fails_at = -1
    parts.embed(records, 2, 2)
    assert adopt_parts(parts.folder).adopted == ("2-of-2",)
    assert len(living(parts.folder)) == 12


def test_a_part_that_is_being_written_is_left_and_nobody_writes_it_too(
    parts: Parts, pictures: Pictures
) -> None:
    records = pictures(6)
    parts.all(records, of=2)
    with writing(parts.place("2-of-2")), ThreadPoolExecutor(1) as other:
        report = other.submit(adopt_parts, parts.folder).result()
        with pytest.raises(StoreLocked):
            other.submit(parts.embed, records, 2, 2).result()
    assert (report.adopted, report.left) == (("1-of-2",), ("2-of-2",))
    assert adopt_parts(parts.folder).adopted == ("2-of-2",)


def test_parts_are_embedded_while_the_collection_is_written(
    parts: Parts, pictures: Pictures
) -> None:
    records = pictures(6)
    with writing(parts.folder), Ledger.open(parts.folder), ThreadPoolExecutor(1) as other:
        other.submit(parts.all, records, 2).result()
    assert adopt_parts(parts.folder).pictures == 6


def test_a_part_of_another_encoder_is_refused_with_a_remedy(
    parts: Parts, pictures: Pictures, other_encoder: PixelEncoder
) -> None:
    card = replace(parts.card, encoder_id=other_encoder.id)
    embed_part(pictures(3), Part(1, 1), other_encoder, parts.folder, card, SMALL)
    place = parts.place("1-of-1").path
    with pytest.raises(IncompatibleIndex) as caught:
        adopt_parts(parts.folder)
    assert other_encoder.id in str(caught.value)
    assert f"delete {place}" in str(caught.value)
    shutil.rmtree(place)
    assert adopt_parts(parts.folder).adopted == ()
    assert living(parts.folder) == {}


@pytest.mark.parametrize("ledger_is_there", [True, False])
def test_a_damaged_shard_of_a_part_is_named_and_costs_only_what_is_in_it(
    parts: Parts, pictures: Pictures, ledger_is_there: bool
) -> None:
    records = pictures(9, captions=1)
    parts.embed(records, 1, 1)
    place = parts.place("1-of-1")
    file = shard_files(place.embeddings)[1]
    lost = Shard(file).pictures
    content = bytearray(file.path.read_bytes())
    content[len(content) // 2] ^= 1
    file.path.write_bytes(content)
    if not ledger_is_there:
        for path in place.embeddings.glob("ledger.sqlite*"):
            path.unlink()
    report = adopt_parts(parts.folder)
    assert report.damaged == (file.path,)
    assert (report.adopted, report.pictures) == (("1-of-1",), 9 - lost)
    encoded = parts.encoder.pictures
    assert parts.whole(records).embedded == lost
    assert parts.encoder.pictures == encoded + lost
    assert len(living(parts.folder)) == 9


def test_what_a_kill_left_of_an_adopted_part_goes(parts: Parts, pictures: Pictures) -> None:
    parts.embed(pictures(3), 1, 1)
    place = parts.place("1-of-1").path
    place.rename(place.with_name(".1-of-1.gone"))
    assert adopt_parts(parts.folder).adopted == ()
    assert not place.parent.parent.exists()


def test_parts_of_unlike_counts_are_joined_too(parts: Parts, pictures: Pictures) -> None:
    records = pictures(10, captions=1)
    parts.all(records, of=2)
    parts.all(records, of=3)
    report = adopt_parts(parts.folder)
    assert report.adopted == ("1-of-2", "2-of-2", "1-of-3", "2-of-3", "3-of-3")
    assert (report.pictures, report.joined, len(living(parts.folder))) == (10, 10, 10)
    assert parts.whole([*records, record(records[0].path)]).embedded == 0
