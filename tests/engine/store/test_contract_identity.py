"""What every index remembers of how it was made, and what it says when there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
import pytest

from engine.collection import CollectionCard
from engine.errors import CollectionMissing, IncompatibleIndex
from engine.store import CaptionStore, caption_id
from engine.store.caption_store import caption_spec
from engine.store.image_store import image_spec
from engine.store.interface import IndexSpec, VectorIndex
from engine.types import CaptionPoint

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:Payload indexes have no effect in the local Qdrant:UserWarning"
    ),
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
]


class Backend(Protocol):
    def open(self, spec: IndexSpec, *, create: bool = True) -> VectorIndex: ...


def write_one(backend: Backend, card: CollectionCard) -> None:
    row = np.eye(card.dim, dtype=np.float32)[0]
    with CaptionStore(backend.open(caption_spec(card))) as store:
        store.upsert([CaptionPoint(caption_id("", "a dog", "human"), "a dog", row, row)])


def test_what_was_written_is_there_when_opened_again(
    backend: Backend, card: CollectionCard
) -> None:
    write_one(backend, card)
    for create in (False, True):
        with CaptionStore(backend.open(caption_spec(card), create=create)) as store:
            assert store.count() == 1
            assert [hit.text for hit in store.get(list(store.ids()))] == ["a dog"]


def test_another_encoder_is_refused_by_name(backend: Backend, card: CollectionCard) -> None:
    write_one(backend, card)
    for create in (False, True):
        with pytest.raises(IncompatibleIndex, match=r"encoder-a.*encoder-b"):
            backend.open(caption_spec(replace(card, encoder_id="encoder-b")), create=create)


def test_another_dimension_is_refused(backend: Backend, card: CollectionCard) -> None:
    write_one(backend, card)
    with pytest.raises(IncompatibleIndex, match=r"16 dimensions.*32 dimensions"):
        backend.open(caption_spec(replace(card, dim=32)), create=False)


def test_other_vectors_are_refused(backend: Backend, card: CollectionCard) -> None:
    write_one(backend, card)
    with pytest.raises(IncompatibleIndex, match=r"vectors .*mrag push .* --rebuild"):
        backend.open(replace(caption_spec(card), vectors=("raw",)), create=False)


def test_other_fields_to_filter_by_are_refused(backend: Backend, card: CollectionCard) -> None:
    """What was written before a field came has no value there, and would never be found by it."""
    write_one(backend, card)
    spec = caption_spec(card)
    for other in (
        replace(spec, keywords=(*spec.keywords, "language")),
        replace(spec, datetimes=("written_at",)),
    ):
        with pytest.raises(IncompatibleIndex, match=r"fields .*mrag push .* --rebuild"):
            backend.open(other, create=False)


def test_an_index_of_words_of_an_older_version_is_refused(
    backend: Backend, card: CollectionCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = image_spec(card)
    with monkeypatch.context() as older:
        older.setattr("engine.store.made_with.WORDS_VERSION", 1)
        backend.open(spec).close()
    with pytest.raises(IncompatibleIndex, match=r"other words .*mrag push .* --rebuild"):
        backend.open(spec, create=False)


def test_a_refusal_harms_nothing(backend: Backend, card: CollectionCard) -> None:
    write_one(backend, card)
    with pytest.raises(IncompatibleIndex):
        backend.open(caption_spec(replace(card, encoder_id="encoder-b")))
    with CaptionStore(backend.open(caption_spec(card), create=False)) as store:
        assert store.count() == 1


def test_a_missing_index_is_named_with_the_remedy(backend: Backend, card: CollectionCard) -> None:
    with pytest.raises(CollectionMissing, match=f"mrag push {card.name}"):
        backend.open(caption_spec(card), create=False)
    with pytest.raises(CollectionMissing):
        backend.open(caption_spec(card), create=False)
