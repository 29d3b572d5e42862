from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from corpus.described import Refined, write_round
from corpus.ledger import Ledger
from corpus.lock import writing
from corpus.reading import captioned_splits, read_captions, read_examples
from corpus.records import CaptionRecord, ImageRecord, Record
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import InvalidInput
from engine.identity import PictureIdentity
from ingest.embed import EmbedOptions, embed
from tests.worlds import PixelEncoder, key_of

Pictures = Callable[..., list[ImageRecord]]
Run = Callable[..., None]


@pytest.fixture
def run(folder: CollectionFolder, card: CollectionCard, encoder: PixelEncoder) -> Run:
    del card

    def run(records: list[Record]) -> None:
        embed(records, encoder, folder, EmbedOptions(batch_size=4, shard_size=4))

    return run


def test_pictures_come_with_their_references_and_stored_vectors(
    run: Run, folder: CollectionFolder, pictures: Pictures, encoder: PixelEncoder
) -> None:
    test = pictures(6, captions=2, split="test")
    run([*reversed(test), *pictures(5, captions=2, first=20, split="train")])
    examples = read_examples(folder, ["test"])
    assert examples.image_ids == tuple(record.image_id for record in test)
    assert examples.references == tuple(record.captions for record in test)
    assert examples.uris == tuple(record.uri for record in test)
    assert examples.splits == ("test",) * 6
    assert examples.owners.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    texts = [text for record in test for text in record.captions]
    np.testing.assert_allclose(examples.captions, encoder.encode_texts(texts), atol=2e-3)
    with Image.open(test[2].path) as image:
        expected = encoder.encode_images([image])
    np.testing.assert_allclose(examples.images[2:3], expected, atol=2e-3)


def test_a_picture_counts_as_it_is_now(
    run: Run, folder: CollectionFolder, pictures: Pictures
) -> None:
    old, other = pictures(2, captions=2, split="test")
    run([old, other])
    run([replace(old, captions=("said anew",))])
    examples = read_examples(folder, ["test"])
    assert examples.references == (("said anew",), other.captions)
    assert examples.owners.tolist() == [0, 1, 1]
    assert old.captions[0] not in read_captions(folder).texts


def test_pictures_without_captions_are_counted_not_taken(
    run: Run, folder: CollectionFolder, pictures: Pictures
) -> None:
    run([*pictures(3, captions=1), *pictures(2, first=10)])
    examples = read_examples(folder)
    assert (len(examples), examples.left_out) == (3, 2)


def test_a_split_that_is_not_there_names_those_that_are(
    run: Run, folder: CollectionFolder, pictures: Pictures
) -> None:
    run([*pictures(3, captions=1, split="val"), *pictures(2, captions=1, first=10)])
    with pytest.raises(InvalidInput, match=r"split 'test'.*'' \(2\), 'val' \(3\)"):
        read_examples(folder, ["test"])


def test_a_collection_without_captions_says_so(
    run: Run, folder: CollectionFolder, pictures: Pictures
) -> None:
    run(pictures(3, split="test"))
    with pytest.raises(InvalidInput, match="no picture with captions"):
        read_examples(folder, ["test"])


def test_a_limit_takes_the_same_sample_in_any_order_of_reading(
    run: Run, folder: CollectionFolder, pictures: Pictures
) -> None:
    records = pictures(12, captions=1, split="test")
    run(records[::-1])
    first = read_examples(folder, ["test"], limit=5, seed=1)
    assert len(first) == 5
    assert first.image_ids == tuple(sorted(first.image_ids))
    assert first.fingerprint == read_examples(folder, ["test"], limit=5, seed=1).fingerprint
    assert first.image_ids != read_examples(folder, ["test"], limit=5, seed=2).image_ids
    assert len(read_examples(folder, ["test"], limit=50)) == 12


def test_the_fingerprint_is_of_ids_references_and_vectors(
    run: Run, folder: CollectionFolder, pictures: Pictures
) -> None:
    run(pictures(3, captions=2, split="test"))
    examples = read_examples(folder)
    others = [
        replace(examples, pictures=(PictureIdentity("f" * 64), *examples.pictures[1:])),
        replace(examples, references=(("x", "y"), *examples.references[1:])),
        replace(examples, images=-examples.images),
    ]
    prints = {examples.fingerprint, *(other.fingerprint for other in others)}
    assert len(prints) == 4


def test_taking_rows_keeps_captions_with_their_pictures(
    run: Run, folder: CollectionFolder, pictures: Pictures
) -> None:
    run([*pictures(3, captions=2, split="test"), *pictures(2, captions=1, first=5, split="test")])
    examples = read_examples(folder)
    taken = examples.take([4, 1])
    assert taken.references == (examples.references[4], examples.references[1])
    assert taken.owners.tolist() == [0, 1, 1]
    np.testing.assert_array_equal(taken.captions, examples.captions[[7, 2, 3]])
    assert len(examples.take([])) == 0


def test_all_captions_of_all_splits_can_be_borrowed(
    run: Run, folder: CollectionFolder, pictures: Pictures, encoder: PixelEncoder
) -> None:
    train = pictures(3, captions=2, split="train")
    run([*train, CaptionRecord("alone"), *pictures(1, captions=1, first=9, split="test")])
    captions = read_captions(folder)
    assert len(captions.texts) == 8
    assert set(read_captions(folder, ["test"]).splits) == {"test"}
    assert len(read_captions(folder, ["train", ""]).texts) == 7
    assert captions.pictures[captions.texts.index("alone")] == ""
    at = captions.texts.index(train[2].captions[1])
    assert (captions.pictures[at], captions.splits[at]) == (key_of(train[2]), "train")
    expected = encoder.encode_texts(list(captions.texts))
    np.testing.assert_allclose(captions.raw, expected, atol=2e-3)


def test_captions_of_refinement_rounds_can_be_borrowed_but_are_no_references(
    run: Run, folder: CollectionFolder, pictures: Pictures, encoder: PixelEncoder
) -> None:
    picture, _ = pictures(2, captions=1, split="train")
    run(pictures(2, captions=1, split="train"))
    with Ledger.read(folder) as ledger:
        found, commit = ledger.file_at(picture.path), ledger.next_commit()
    assert found is not None
    known = found.picture
    vector = encoder.encode_texts(["added"]).astype(np.float16)
    added = [Refined(known.sha256, known.captions_key, "added", score=1.0)]
    write_round(folder.rounds, 1, added, vector, commit=commit, encoder_id=encoder.id)
    captions = read_captions(folder)
    at = captions.texts.index("added")
    assert (captions.pictures[at], captions.splits[at]) == (key_of(picture), "train")
    np.testing.assert_allclose(captions.raw[at], vector[0], atol=2e-3)
    assert "added" not in {text for said in read_examples(folder).references for text in said}


def test_reading_goes_on_while_another_writes(
    run: Run, folder: CollectionFolder, pictures: Pictures
) -> None:
    run(pictures(1, captions=1))
    with writing(folder), Ledger.open(folder), ThreadPoolExecutor(1) as other:
        assert len(read_examples(folder)) == 1  # the writer itself may read
        assert len(other.submit(read_examples, folder).result(timeout=10)) == 1
        assert len(other.submit(read_captions, folder).result(timeout=10).texts) == 1
        assert other.submit(captioned_splits, folder).result(timeout=10) == {"": 1}
