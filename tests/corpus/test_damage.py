"""Whatever happens to the bytes of a shard, nobody is told anything wrong."""

from __future__ import annotations

import random
from typing import Any

import pytest

from corpus.described import Described, DescribedShard, Refined, RoundShard
from corpus.ledger import Ledger
from corpus.parquet import DamagedShard, ShardFile, shard_files
from corpus.records import CaptionRecord
from corpus.shards import Shard
from engine.collection import CollectionFolder
from tests.corpus.making import contents, describe, entry, halves, refine, sha256_of, write

PICTURES = 40
TIMES = 400


def flip(data: bytearray, order: random.Random) -> None:
    data[order.randrange(len(data))] ^= 1 << order.randrange(8)


def flip_several(data: bytearray, order: random.Random) -> None:
    for _ in range(order.randint(2, 20)):
        flip(data, order)


def cut(data: bytearray, order: random.Random) -> None:
    del data[order.randrange(len(data)) :]


def blank(data: bytearray, order: random.Random) -> None:
    """As a disk leaves what it had not written yet."""
    start = order.randrange(len(data))
    end = min(len(data), start + order.choice([16, 512, 4096]))
    data[start:end] = bytes(end - start)


def drop(data: bytearray, order: random.Random) -> None:
    start = order.randrange(len(data))
    del data[start : start + order.randint(1, 50)]


def insert(data: bytearray, order: random.Random) -> None:
    start = order.randrange(len(data) + 1)
    data[start:start] = order.randbytes(order.randint(1, 50))


DAMAGES = [flip, flip, flip, flip_several, cut, blank, drop, insert]


def damaged(data: bytes, order: random.Random) -> bytes:
    """Other bytes than these."""
    while True:
        made = bytearray(data)
        order.choice(DAMAGES)(made, order)
        if made != data:
            return bytes(made)


def pictures_of(file: ShardFile) -> Any:
    shard = Shard(file)
    spans = [shard.span(row) for row in range(shard.pictures + shard.loose)]
    told = shard.entries(), shard.loose_captions(), shard.gone(), shard.splits, shard.since
    numbers = shard.pictures, shard.loose, shard.withdrawn, shard.commit, shard.encoder_id
    vectors = shard.images.tobytes(), shard.captions.tobytes(), shard.images.shape
    return told, numbers, vectors, spans, shard.sha256s, shard.texts, shard.encoder_id


def described_of(file: ShardFile) -> Any:
    shard = DescribedShard(file)
    captions = [(text, vector.tobytes()) for text, vector in map(shard.caption, range(PICTURES))]
    return shard.contents(), captions, shard.commit


def round_of(file: ShardFile) -> Any:
    shard = RoundShard(file)
    captions = [(text, vector.tobytes()) for text, vector in map(shard.caption, range(PICTURES))]
    return shard.refined(), captions, shard.commit


def fill(folder: CollectionFolder) -> dict[str, ShardFile]:
    """A shard of each kind."""
    entries = [
        entry(f"p{at}", *(f"caption {at} {number}" for number in range(at % 3)))
        for at in range(PICTURES)
    ]
    loose = [CaptionRecord(f"alone {at}") for at in range(5)]
    hashes = [one.sha256 for one in entries]
    said = [Described(sha256, f"said {at}") for at, sha256 in enumerate(hashes)]
    added = [Refined(sha256, at, f"added {at}", at / 3) for at, sha256 in enumerate(hashes)]
    made = contents(entries, loose, [sha256_of("gone")], dim=16)
    return {
        "embeddings": write(folder.embeddings, 0, made),
        "generated": describe(folder.generated, 0, said, 2),
        "rounds": refine(folder.rounds, 1, added, 3),
    }


READERS = {"embeddings": pictures_of, "generated": described_of, "rounds": round_of}


@pytest.mark.parametrize("kind", READERS)
def test_a_damaged_file_is_read_as_written_or_refused(folder: CollectionFolder, kind: str) -> None:
    file, read = fill(folder)[kind], READERS[kind]
    data, expected = file.path.read_bytes(), read(file)
    order = random.Random(kind)
    refused = 0
    for _ in range(TIMES):
        file.path.write_bytes(damaged(data, order))
        assert not file.is_whole()
        try:
            assert read(file) == expected  # some bytes mean nothing
        except DamagedShard as error:
            refused += error.path == file.path
    assert refused > TIMES * 0.9


@pytest.mark.parametrize("kind", READERS)
def test_a_flipped_bit_anywhere_in_the_vectors_is_seen(folder: CollectionFolder, kind: str) -> None:
    file, read = fill(folder)[kind], READERS[kind]
    data = file.path.read_bytes()
    first = Shard(file).images[0] if kind == "embeddings" else halves(PICTURES)[0]
    at = data.index(first.tobytes())
    for offset in range(6):
        made = bytearray(data)
        made[at + offset] ^= 1
        file.path.write_bytes(made)
        with pytest.raises(DamagedShard):
            read(file)


@pytest.mark.parametrize("times", [50, pytest.param(TIMES, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", READERS)
def test_a_damaged_file_is_set_aside_and_named_and_the_rest_is_there(
    folder: CollectionFolder, kind: str, times: int
) -> None:
    files = fill(folder)
    # Another of each kind, which nothing happens to.
    write(folder.embeddings, 1, contents([entry("other", "told"), entry("bare")], dim=16), 4)
    describe(folder.generated, 1, [Described(sha256_of("bare"), "said of it")], 5)
    file = files[kind]
    data = file.path.read_bytes()
    aside = file.path.with_name(f"{file.path.name}.damaged")
    order = random.Random(kind)
    forget(folder)
    with Ledger.open(folder) as ledger:
        whole = counts(ledger)
    for _ in range(times):
        forget(folder)
        made = damaged(data, order)
        file.path.write_bytes(made)
        with Ledger.open(folder) as ledger:
            assert [error.path for error in ledger.damaged] == [file.path]
            found = counts(ledger)
            assert ledger.picture(sha256_of("other")) is not None
            assert [one.described_row for one in ledger.generated_in(1)] == [0]
        assert aside.read_bytes() == made
        if kind == "embeddings":
            assert found == (2, 1, 1, [], whole[4])
        elif kind == "generated":
            assert found == (*whole[:2], 1, *whole[3:])
        else:
            assert found == (*whole[:4], [])
        aside.unlink()
        file.path.write_bytes(data)
        assert next(iter(shard_files(file.path.parent))) == file.number
    forget(folder)
    with Ledger.open(folder) as ledger:
        assert counts(ledger) == whole
        assert not ledger.damaged


def counts(ledger: Ledger) -> tuple[int, int, int, list[str], list[int]]:
    """Pictures, captions, those described among pictures without any, what went, and rounds."""
    bare = ledger.pictures() - sum(captioned for _, captioned in ledger.split_counts().values())
    described = bare - ledger.undescribed()
    return ledger.pictures(), ledger.captions(), described, ledger.gone(0), ledger.refined.rounds()


def forget(folder: CollectionFolder) -> None:
    for path in folder.embeddings.glob("ledger.sqlite*"):
        path.unlink()


@pytest.mark.parametrize("kind", READERS)
def test_a_reader_refuses_what_a_ledger_cannot_be_made_of(
    folder: CollectionFolder, kind: str
) -> None:
    file = fill(folder)[kind]
    data = file.path.read_bytes()
    order = random.Random(kind)
    for _ in range(20):
        file.path.write_bytes(damaged(data, order))
        with pytest.raises(DamagedShard) as caught:
            Ledger.read(folder)
        assert caught.value.path == file.path


def test_all_damaged_files_are_set_aside_at_once(folder: CollectionFolder) -> None:
    files = fill(folder)
    for file in files.values():
        file.path.write_bytes(file.path.read_bytes()[:-1])
    with Ledger.open(folder) as ledger:
        assert {error.path for error in ledger.damaged} == {one.path for one in files.values()}
        assert counts(ledger) == (0, 0, 0, [], [])
