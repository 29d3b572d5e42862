"""Short queries in the form of captions: where that was asked for, and only they."""

from __future__ import annotations

import numpy as np
import pytest
from PIL.Image import Image

from engine.search.short_queries import TEMPLATES, encode_queries, is_short
from engine.types import Vectors

DIM = 8


class Counting:
    """Embeds each text at random, and notes what it is asked."""

    id, dim = "counting", DIM

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode_images(self, images: list[Image]) -> Vectors:
        raise NotImplementedError

    def encode_texts(self, texts: list[str]) -> Vectors:
        self.asked += texts
        rows = [np.random.default_rng(len(t)).standard_normal(DIM) for t in texts]
        return np.array([row / np.linalg.norm(row) for row in rows], np.float32).reshape(-1, DIM)


@pytest.mark.parametrize(
    ("text", "short"),
    [("dog", True), (" red car ", True), ("a red car", False), ("", False), ("?!", False)],
)
def test_one_word_or_two_are_short(text: str, short: bool) -> None:
    assert is_short(text) is short


def test_a_short_query_is_the_mean_of_what_is_said_around_it() -> None:
    encoder = Counting()
    found = encode_queries(encoder, ["dog", "a dog on a lawn"], as_captions=True)
    forms = ["dog", *(template.format("dog") for template in TEMPLATES)]
    assert encoder.asked == [*forms, "a dog on a lawn"]
    mean = encoder.encode_texts(forms).mean(axis=0)
    np.testing.assert_allclose(found[0], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_array_equal(found[1], encoder.encode_texts(["a dog on a lawn"])[0])
    assert found.dtype == np.float32


def test_unasked_or_long_a_query_is_embedded_as_it_is() -> None:
    for texts, as_captions in ((["dog", "cat"], False), (["a dog on a lawn"], True), ([], True)):
        encoder = Counting()
        assert encode_queries(encoder, texts, as_captions=as_captions).shape == (len(texts), DIM)
        assert encoder.asked == texts


def test_braces_in_a_query_are_words_like_others() -> None:
    encoder = Counting()
    encode_queries(encoder, ["{0}", "a{b}"], as_captions=True)
    assert any("{0}" in text for text in encoder.asked)
