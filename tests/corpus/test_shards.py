from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.described import (
    Described,
    DescribedShard,
    Refined,
    RoundShard,
    write_described,
    write_round,
)
from corpus.entry import Entry, Name
from corpus.parquet import DamagedShard, ShardFile, packed, shard_files
from corpus.records import CaptionRecord
from corpus.shards import SCHEMA, Contents, Shard, Withdrawn
from engine.errors import StoreUnavailable
from engine.files import remove_partials
from engine.types import Metadata
from engine.vectors import unit
from tests.corpus.making import contents, describe, entry, halves, refine, sha256_of, write

texts = st.text(st.characters(codec="utf-8"), max_size=8)
# What `os.fsdecode` makes of a name that is no Unicode.
paths = st.binary(max_size=8).filter(lambda name: b"\0" not in name).map(os.fsdecode)
stamps = st.integers(-(2**63), 2**63 - 1)
metadata = st.builds(
    Metadata,
    texts,
    texts,
    st.none() | st.floats(-90, 90),
    st.none() | st.floats(-180, 180),
    texts,
    st.none() | st.integers(-1, 5),
    st.lists(texts, max_size=2).map(tuple),
)
names = st.builds(
    Name,
    texts,
    texts,
    paths,
    st.integers(0, 2**63 - 1),
    stamps,
    st.lists(texts, max_size=3, unique=True).map(tuple),
    texts,
    st.lists(texts, max_size=2, unique=True).map(tuple),
    metadata,
    st.none() | texts,
)
dates = st.none() | st.datetimes().map(lambda date: date.isoformat())
pictures = st.builds(
    Entry,
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.integers(1, 2**31 - 1),
    st.integers(1, 2**31 - 1),
    st.lists(names, min_size=1, max_size=3).map(tuple),
    dates,
)
captions = st.builds(CaptionRecord, texts, texts, texts)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(pictures, max_size=4),
    st.lists(captions, max_size=3),
    st.lists(st.binary(min_size=32, max_size=32).map(bytes.hex), max_size=2),
    st.integers(1, 40),
    st.randoms(use_true_random=False),
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    entries: list[Entry],
    loose: list[CaptionRecord],
    gone: list[str],
    dim: int,
    random: Random,
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    told = sum(len(one.captions) for one in entries) + len(loose)
    # Any bits at all: also those of NaN, infinity and minus zero must come back.
    images, vectors = (any_bits(random, rows, dim) for rows in (len(entries), told))
    withdrawn = [Withdrawn(sha256) for sha256 in gone]
    file = write(folder, 4, Contents(entries, loose, withdrawn, images, vectors), commit=9)
    shard = Shard(file)
    assert file.is_whole()
    assert (shard.pictures, shard.loose, shard.withdrawn) == (len(entries), len(loose), len(gone))
    assert (shard.commit, shard.encoder_id) == (9, "encoder")
    assert shard.entries() == entries
    assert shard.entries(range(len(entries))[::-1]) == entries[::-1]
    assert shard.loose_captions() == loose
    assert shard.gone() == [Withdrawn(sha256, 9) for sha256 in gone]
    assert shard.images.tobytes() == images.tobytes()
    assert shard.captions.tobytes() == vectors.tobytes()
    assert shard.splits == [*(one.split for one in entries), *(one.split for one in loose)]
    assert shard.texts == [*(list(one.captions) for one in entries), *([c.text] for c in loose)]
    assert set(shard.since) <= {9}


def any_bits(random: Random, rows: int, dim: int) -> np.ndarray:
    seed = random.getrandbits(32)
    bits = np.random.default_rng(seed).integers(0, 2**16, (rows, dim), dtype=np.uint16)
    return bits.view(np.float16)


def test_each_caption_row_belongs_to_its_picture(tmp_path: Path) -> None:
    entries = [entry("a", "x", "y"), entry("b"), entry("c", "z")]
    made = contents(entries, [CaptionRecord("l")])
    shard = Shard(write(tmp_path, 0, made))
    assert [shard.span(row) for row in range(4)] == [
        slice(0, 2),
        slice(2, 2),
        slice(2, 3),
        slice(3, 4),
    ]
    np.testing.assert_array_equal(shard.captions[shard.span(2)], made.captions[2:3])


def test_vectors_that_are_not_those_of_the_pictures_are_refused(tmp_path: Path) -> None:
    made = Contents([entry("a", "x"), entry("b")], (), (), halves(1), halves(1))
    with pytest.raises(ValueError, match="1 pictures' and 1 captions' vectors do not belong to 2"):
        write(tmp_path, 0, made)
    assert not shard_files(tmp_path)


def test_more_vectors_than_a_column_holds_are_refused_not_cut() -> None:
    rows = np.broadcast_to(np.zeros((1, 1024), np.float16), (2**20, 1024))  # 2 GiB, not held
    with pytest.raises(ValueError, match="2,147,483,648 bytes of vectors do not fit"):
        packed(rows, np.arange(2**20 + 1))


def test_a_file_name_that_is_not_utf8_survives(tmp_path: Path) -> None:
    odd = Name("odd", "file:///odd", os.fsdecode(b"/\xff.jpg"), 7, 8)
    shard = Shard(write(tmp_path, 1, contents([Entry(sha256_of("odd"), 2, 1, (odd,))])))
    assert shard.entry(0).path == "/\udcff.jpg"


def test_what_a_picture_with_one_name_says_is_written_once(tmp_path: Path) -> None:
    once = write(tmp_path, 0, contents([entry("a", "said by one")]))
    table = pq.read_table(once.path)
    assert table["captions"].to_pylist() == [["said by one"]]
    assert table["names"].to_pylist()[0][0]["captions"] == []
    assert Shard(once).entry(0).names[0].captions == ("said by one",)


def test_others_can_open_a_shard(tmp_path: Path) -> None:
    made = contents([entry("a", "x", "y"), entry("b")], [CaptionRecord("l", "far", "val")], ["ab"])
    file = write(tmp_path, 0, made, commit=5)
    frame = pytest.importorskip("pandas").read_parquet(file.path)
    assert list(frame.columns) == SCHEMA.names
    assert list(frame.columns) == [
        "since",
        "sha256",
        "names",
        "width",
        "height",
        "taken_at",
        "split",
        "captions",
        "image",
        "caption_vectors",
        "metadata",
    ]
    assert [list(said) for said in frame["captions"]] == [["x", "y"], [], ["l"], []]
    assert frame["sha256"][0].hex() == sha256_of("a")
    assert frame["sha256"][2] is None
    assert frame["names"][0][0]["uri"] == "uri of a"
    np.testing.assert_array_equal(np.frombuffer(frame["image"][1], "<f2"), made.images[1])
    pairs = np.frombuffer(frame["caption_vectors"][0], "<f2").reshape(2, -1)
    np.testing.assert_array_equal(pairs, made.captions[:2])
    schema = pq.read_schema(file.path)
    assert schema.remove_metadata() == SCHEMA
    about = {key.decode(): value.decode() for key, value in schema.metadata.items()}
    numbers = {"pictures": "2", "loose": "1", "withdrawn": "1", "dim": "3", "commit": "5"}
    assert about == {"kind": "mrag-shard/2", "encoder_id": "encoder", **numbers}


def test_stored_vectors_come_back_at_length_one() -> None:
    rows = np.array([[3, 4, 0], [0, 0, 0]], np.float16)
    expected = np.array([[0.6, 0.8, 0], [0, 0, 0]])
    np.testing.assert_allclose(unit(rows), expected, atol=1e-7)


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "kind", "missing"])
def test_a_damaged_shard_is_named_with_the_remedy(tmp_path: Path, damage: str) -> None:
    file = write(tmp_path, 3, contents([entry("a", "x"), entry("b", "y")]))
    if damage == "cut":
        file.path.write_bytes(file.path.read_bytes()[:-5])
    elif damage == "text":
        file.path.write_text("not a shard")
    elif damage == "empty":
        file.path.write_bytes(b"")
    elif damage == "kind":
        other = describe(tmp_path / "generated", 3, [Described(sha256_of("a"), "x")], 1)
        other.path.replace(file.path)
    else:
        file.path.unlink()
    assert not file.is_whole()
    with pytest.raises(DamagedShard, match=r"shard-00003.*mrag verify \S+ --mend") as caught:
        Shard(file)
    assert caught.value.path == file.path


def test_generated_captions_are_read_as_written(tmp_path: Path) -> None:
    said = [Described(sha256_of("a"), "a dog"), Described(sha256_of("b"), "\N{DOG} “a”\x00")]
    shard = DescribedShard(describe(tmp_path, 0, said, 7))
    assert shard.contents() == [(one.sha256, 7) for one in said]
    for row, one in enumerate(said):
        text, vector = shard.caption(row)
        assert text == one.text
        np.testing.assert_array_equal(vector, halves(2)[row])


def test_captions_of_a_round_are_read_as_written(tmp_path: Path) -> None:
    added = [Refined(sha256_of("a"), 2**63 - 1, "a dog", 0.1), Refined(sha256_of("b"), 0, "", -2.5)]
    shard = RoundShard(refine(tmp_path, 1, added, 7))
    assert (shard.refined(), shard.commit) == (added, 7)
    assert shard.caption(1)[0] == ""
    np.testing.assert_array_equal(shard.caption(0)[1], halves(2)[0])


@pytest.mark.parametrize(("pictures", "each"), [(1, 6_000), (6_000, 1), (60, 100)])
def test_six_thousand_captions_of_20_kb_fit_in_a_shard(
    tmp_path: Path, pictures: int, each: int
) -> None:
    long = ("a long caption " * 1400)[: 20 * 1024]
    entries = [
        entry(f"p{at}", *(f"{at} {number} {long}" for number in range(each)))
        for at in range(pictures)
    ]
    made = contents(entries)
    shard = Shard(write(tmp_path, 0, made))
    assert shard.texts[-1][-1] == f"{pictures - 1} {each - 1} {long}"
    assert sum(len(text) for said in shard.texts for text in said) > 6_000 * 20 * 1024
    assert shard.captions.tobytes() == made.captions.tobytes()


@pytest.mark.parametrize(
    "count", [20_000, pytest.param(400_000, marks=pytest.mark.slow, id="400,000")]
)
def test_many_generated_captions_are_written_and_read_a_part_at_a_time(
    tmp_path: Path, count: int
) -> None:
    vectors = halves(count, 64)
    hashes = [f"{at:064x}" for at in range(count)]
    added = [Refined(sha256, at, f"caption {at}", at / 7) for at, sha256 in enumerate(hashes)]
    said = [Described(sha256, f"caption {at}") for at, sha256 in enumerate(hashes)]
    round_file = write_round(tmp_path / "a", 1, added, vectors, commit=3, encoder_id="encoder")
    said_file = write_described(tmp_path / "b", 1, said, vectors, commit=3, encoder_id="encoder")
    readers: list[RoundShard | DescribedShard] = [RoundShard(round_file), DescribedShard(said_file)]
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    for reader in readers:
        for row in range(count):
            text, vector = reader.caption(row)
            assert text == f"caption {row}"
            assert vector.tobytes() == vectors[row].tobytes()
        assert pa.total_allocated_bytes() - before < 4 * 2**20  # what Parquet holds
    assert tracemalloc.get_traced_memory()[1] < 4 * 2**20  # what Python held at most
    tracemalloc.stop()
    assert RoundShard(round_file).refined() == added
    assert DescribedShard(said_file).contents() == [(sha256, 3) for sha256 in hashes]


def test_only_whole_shards_are_listed_and_leftovers_are_removed(tmp_path: Path) -> None:
    files = {number: write(tmp_path, number, contents()) for number in (123_456, 11, 2)}
    leftover = tmp_path / ".shard-00012.00000000.parquet.x1.partial"
    leftover.write_bytes(b"half")
    for other in ("shard-notes.parquet", "shard-00001.parquet", f"{files[2].path.name}.damaged"):
        (tmp_path / other).write_bytes(b"")
    assert list(shard_files(tmp_path)) == [2, 11, 123_456]
    remove_partials(tmp_path)
    assert not leftover.exists()
    assert shard_files(tmp_path) == files


def test_others_may_read_a_shard(tmp_path: Path) -> None:
    file = write(tmp_path, 0, contents())
    assert file.path.stat().st_mode & 0o777 == 0o644


def test_a_shard_that_is_open_is_read_to_its_end_though_it_is_replaced(tmp_path: Path) -> None:
    made = contents([entry("a", "x", "y"), entry("b")])
    file = write(tmp_path, 0, made)
    shard = Shard(file)
    file.path.unlink()
    assert shard.entries() == made.entries
    assert shard.captions.tobytes() == made.captions.tobytes()


def test_a_shard_of_another_name_is_not_whole(tmp_path: Path) -> None:
    file = write(tmp_path, 0, contents([entry("a")]))
    renamed = file.path.with_name("shard-00000.00000000.parquet")
    file.path.rename(renamed)
    assert not ShardFile(0, renamed).is_whole()


def test_a_shard_that_the_system_refuses_to_read_is_not_called_damaged(tmp_path: Path) -> None:
    """It may be whole: what is damaged is set aside, and embedded again."""
    file = write(tmp_path, 0, contents([entry("a")]))
    file.path.unlink()
    file.path.symlink_to(file.path)
    for read in (file.is_whole, lambda: Shard(file)):
        with pytest.raises(StoreUnavailable, match="cannot be used") as caught:
            read()
        assert not isinstance(caught.value, DamagedShard)


def test_neither_writing_nor_reading_a_shard_imports_pandas(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
import numpy as np
from corpus.entry import Entry, Name
from corpus.records import CaptionRecord
from corpus.shards import Contents, Shard, Withdrawn, write_shard
entry = Entry("ab" * 32, 4, 3, (Name("id", "uri", "path", 1, 2, ("said",), "train", ("tag",)),))
vectors = np.ones((2, 4), np.float16)
loose, gone = [CaptionRecord("alone")], [Withdrawn("cd" * 32)]
contents = Contents([entry], loose, gone, vectors[:1], vectors)
shard = Shard(write_shard(Path(sys.argv[1]), 0, contents, commit=1, encoder_id="made up"))
assert (shard.entries(), shard.loose_captions()) == ([entry], loose)
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True)
