"""Ids that follow from what a point is."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from engine.store import caption_id, picture_id

TEXTS = st.text(max_size=20)


def test_ids_never_change() -> None:
    """Stored collections depend on these values."""
    assert caption_id("7", "a dog", "human") == "c6d24f27-c52b-5c90-9c90-8c0bb88cfc08"
    assert picture_id("ab" * 32) == "b715799c-0abd-57a5-8ef1-ddddf8a75aad"


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_captions_share_an_id_only_if_they_are_the_same(
    image_a: str, text_a: str, image_b: str, text_b: str
) -> None:
    same = (image_a, text_a) == (image_b, text_b)
    first, second = caption_id(image_a, text_a, "human"), caption_id(image_b, text_b, "human")
    assert (first == second) is same
    assert first != caption_id(image_a, text_a, "generated")
    assert UUID(first).version == 5


def test_the_case_of_a_hash_does_not_matter() -> None:
    assert picture_id("AB" * 32) == picture_id("ab" * 32)
    assert picture_id("ab" * 32) != picture_id("ac" * 32)
