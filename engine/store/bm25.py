"""Words as sparse vectors: Qdrant Edge's BM25, for the embedded store and the server alike."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, pairwise

from qdrant_edge import Bm25, Bm25Config, SparseVector, TokenizerType

from engine.words import spelled_words, units, words

WORDS_VERSION = 2
"""Version of what a text's words are; an index that was written with another one is refused."""


class WordEncoder:
    """Turns texts into BM25 weights, which the index completes with inverse document frequency.

    What a word is says `engine.words`; Edge folds them to ASCII where they are Latin. Stop words
    and stems are English, so words of other languages match in their exact form. In scripts
    without spaces every pair of neighbouring letters is a word, and so is, in stored texts, every
    letter: a query of one letter finds it. Thread-safe.
    """

    def __init__(self, typical_words: float) -> None:
        """Made for texts of about so many words; 0: for an index that keeps none."""
        config = Bm25Config(
            avg_len=typical_words,
            language="english",
            ascii_folding=True,
            tokenizer=TokenizerType.Whitespace,  # we split; Edge's own lose marks or numbers
        )
        self._bm25 = Bm25(config) if typical_words else None

    def document(self, text: str) -> SparseVector:
        """The weights of a stored text; without indices if no word is left of it."""
        if self._bm25 is None:
            return SparseVector([], [])
        return self._bm25.embed_document(" ".join(_stored_terms(text)))

    def query(self, text: str) -> SparseVector:
        """The weights of a query; without indices if no word is left of it."""
        if self._bm25 is None:
            return SparseVector([], [])
        return self._bm25.embed_query(" ".join(_sought_terms(text)))

    def shared_words(self, query: str, text: str) -> tuple[str, ...]:
        """The words of the text, as it spells them, that a query for `query` matches."""
        wanted = set(self.query(query).indices)
        if not wanted:
            return ()
        found = (part for word in spelled_words(text) for part in self._shared(wanted, word))
        return tuple(dict.fromkeys(found))

    def _shared(self, wanted: set[int], word: str) -> Iterator[str]:
        """The word, or the parts of it where it has `units`, that match."""
        letters = units(word)
        if not letters:
            if self._matches(wanted, word):
                yield word
            return
        covered: set[int] = set()
        for size in (1, 2):
            for start in range(len(letters) - size + 1):
                if self._matches(wanted, "".join(letters[start : start + size])):
                    covered.update(range(start, start + size))
        for is_shared, run in groupby(range(len(letters)), covered.__contains__):
            if is_shared:
                yield "".join(letters[at] for at in run)

    def _matches(self, wanted: set[int], word: str) -> bool:
        return not wanted.isdisjoint(self.query(word).indices)


def _stored_terms(text: str) -> Iterator[str]:
    for word in words(text):
        letters = units(word)
        yield from letters or (word,)
        yield from _pairs(letters)


def _sought_terms(text: str) -> Iterator[str]:
    for word in words(text):
        letters = units(word)
        yield from _pairs(letters) or (word,)


def _pairs(letters: list[str]) -> list[str]:
    return ["".join(pair) for pair in pairwise(letters)]
