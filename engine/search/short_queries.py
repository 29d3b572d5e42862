"""Short queries in the form of captions: one word is embedded in several sentences around it.

What a collection's encoder has learned captions from decides whether that helps, so it is measured
(`engine.search.default_space`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.types import Encoder, Vectors
from engine.vectors import unit
from engine.words import words

TEMPLATES = ("a photo of a {}.", "a picture of {}.", "there is a {} in the scene.")
"""What is said around a short query; the query itself counts as one more."""

SHORT = 2
"""Of up to so many words a query is short."""


def is_short(text: str) -> bool:
    """Whether a query is one word, or two."""
    return 1 <= len(words(text)) <= SHORT


def encode_queries(encoder: Encoder, texts: Sequence[str], *, as_captions: bool) -> Vectors:
    """Embed queries, (n, dim) unit rows; short ones as the mean of captions, if that is asked."""
    forms = [
        [text, *(one.format(text.strip()) for one in TEMPLATES)]
        if as_captions and is_short(text)
        else [text]
        for text in texts
    ]
    rows = encoder.encode_texts([form for of_text in forms for form in of_text])
    if all(len(of_text) == 1 for of_text in forms):
        return rows
    parts = np.split(rows, np.cumsum([len(of_text) for of_text in forms])[:-1])
    return np.asarray(unit(np.stack([part.mean(axis=0) for part in parts])), np.float32)
