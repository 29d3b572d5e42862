from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.records import CaptionRecord
from corpus.shards import (
    Contents,
    Described,
    DescribedShard,
    Entry,
    Halves,
    Shard,
    read_contents,
    read_described,
    read_shard,
    shard_path,
    shard_sizes,
    write_described,
    write_shard,
)
from engine.errors import StoreUnavailable
from engine.files import remove_partials
from engine.vectors import unit


def entry(name: str, *captions: str) -> Entry:
    return Entry(
        name, f"/{name}", f"/{name}", 7, 8, name * 3, 2, 1, None, captions, "train", ("a",)
    )


def halves(rows: int) -> Halves:
    return np.random.default_rng(rows).normal(size=(rows, 3)).astype(np.float16)


def shard_of(entries: list[Entry], loose: list[CaptionRecord]) -> Shard:
    contents = Contents(tuple(entries), tuple(loose))
    return Shard(contents, halves(len(entries)), halves(len(contents.owners)))


texts = st.text(st.characters(codec="utf-8"), max_size=8)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(texts, max_size=3), max_size=4), st.lists(texts, max_size=3))
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, captions: list[list[str]], loose: list[str]
) -> None:
    path = tmp_path_factory.mktemp("shards") / "shard-00000.safetensors"
    written = shard_of(
        [entry(f"p{i}", *of_picture) for i, of_picture in enumerate(captions)],
        [CaptionRecord(text, "somewhere", "val") for text in loose],
    )
    write_shard(path, written, "encoder")
    read = read_shard(path)
    assert read.contents == written.contents == read_contents(path)
    np.testing.assert_array_equal(read.images, written.images)
    np.testing.assert_array_equal(read.captions, written.captions)


def test_each_caption_row_belongs_to_its_picture() -> None:
    contents = Contents((entry("a", "x", "y"), entry("b"), entry("c", "z")), (CaptionRecord("l"),))
    assert contents.spans == [slice(0, 2), slice(2, 2), slice(2, 3)]
    assert contents.loose_span == slice(3, 4)
    assert contents.owners.tolist() == [0, 0, 2, -1]


def test_a_file_name_that_is_not_utf8_survives(tmp_path: Path) -> None:
    path = shard_path(tmp_path, 1)
    write_shard(path, shard_of([entry("\udcff.jpg")], []), "encoder")
    assert read_shard(path).contents.entries[0].path == "/\udcff.jpg"


def test_stored_vectors_come_back_at_length_one() -> None:
    rows = np.array([[3, 4, 0], [0, 0, 0]], np.float16)
    expected = np.array([[0.6, 0.8, 0], [0, 0, 0]])
    np.testing.assert_allclose(unit(rows), expected, atol=1e-7)


@pytest.mark.parametrize("damage", ["cut", "text", "kind", "shifted"])
def test_a_damaged_shard_is_named_with_the_remedy(tmp_path: Path, damage: str) -> None:
    path = shard_path(tmp_path, 3)
    written = shard_of([entry("a", "x"), entry("b", "y")], [])
    if damage == "shifted":
        written = Shard(written.contents, written.images[:1], written.captions)
    write_shard(path, written, "encoder")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    elif damage == "text":
        path.write_text("not a shard")
    elif damage == "kind":
        write_described(path, DescribedShard((), halves(0)), "encoder")
    with pytest.raises(StoreUnavailable, match=r"shard-00003.*delete that file"):
        read_shard(path)


def test_generated_captions_are_read_as_written(tmp_path: Path) -> None:
    path = shard_path(tmp_path, 0)
    written = DescribedShard((Described("aa", "p", "a dog"),), halves(1))
    write_described(path, written, "encoder")
    read = read_described(path)
    assert read.described == written.described
    np.testing.assert_array_equal(read.captions, written.captions)


def test_only_whole_shards_are_listed_and_leftovers_are_removed(tmp_path: Path) -> None:
    write_shard(shard_path(tmp_path, 11), shard_of([], []), "encoder")
    write_shard(shard_path(tmp_path, 2), shard_of([], []), "encoder")
    leftover = tmp_path / ".shard-00012.safetensors.x1.partial"
    leftover.write_bytes(b"half")
    (tmp_path / "shard-notes.safetensors").write_bytes(b"")
    assert list(shard_sizes(tmp_path)) == [2, 11]
    remove_partials(tmp_path)
    assert not leftover.exists()
    assert list(shard_sizes(tmp_path)) == [2, 11]


def test_others_may_read_a_shard(tmp_path: Path) -> None:
    path = shard_path(tmp_path, 0)
    write_shard(path, shard_of([], []), "encoder")
    assert path.stat().st_mode & 0o777 == 0o644
