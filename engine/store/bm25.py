"""Words as sparse vectors: Qdrant Edge's BM25, for the embedded store and the server alike."""

from __future__ import annotations

import re

from qdrant_edge import Bm25, Bm25Config, SparseVector, TokenizerType

_WORD = re.compile(r"[^\W_]+")


class WordEncoder:
    """Turns texts into BM25 weights, which the index completes with inverse document frequency.

    Words are split at spaces and punctuation, lower-cased and folded to ASCII; numbers are words.
    Stop words and stems are English, so words of other languages match in their exact form, and
    scripts without spaces only by whole runs. Thread-safe.
    """

    def __init__(self, typical_words: float) -> None:
        """Made for texts of about so many words; 0: for an index that keeps none."""
        # The tokenizer Multilingual would split Chinese and Japanese, but it drops numbers.
        config = Bm25Config(
            avg_len=typical_words,
            language="english",
            ascii_folding=True,
            tokenizer=TokenizerType.Word,
        )
        self._bm25 = Bm25(config) if typical_words else None

    def document(self, text: str) -> SparseVector:
        """The weights of a stored text; without indices if no word is left of it."""
        return self._bm25.embed_document(text) if self._bm25 else SparseVector([], [])

    def query(self, text: str) -> SparseVector:
        """The weights of a query; without indices if no word is left of it."""
        return self._bm25.embed_query(text) if self._bm25 else SparseVector([], [])

    def shared_words(self, query: str, text: str) -> tuple[str, ...]:
        """The words of the text, as it spells them, that a query for `query` matches."""
        wanted = set(self.query(query).indices)
        words = dict.fromkeys(_WORD.findall(text)) if wanted else {}
        return tuple(word for word in words if not wanted.isdisjoint(self.query(word).indices))
