"""Pictures against single words: how well mapped pictures rank the words of their references.

After table 3 of the paper: the words of all references are the documents, and a word gains a
picture as many points as there are references of it that hold the word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import regex

from engine.words import LETTER
from evaluation.metrics.ranking import Judgements

_STOP_WORDS = """
a about above across after again against all along also am an and any are around as at be because
been before behind being below beside between both but by can could did do does doing down during
each few for from further had has have having he her here hers him his how i if in inside into is
it its itself just like me more most my near next no nor not of off on once one only onto or other
our out outside over own same she so some such than that the their them then there these they this
those through to too toward towards under until up upon very was we were what when where which
while who whom why will with within without would you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""English words that say nothing of a picture; in other languages none is left out."""

_WORD = regex.compile(rf"[{LETTER}]+(?:['’][{LETTER}]+)?")


@dataclass(frozen=True, eq=False)
class Words:
    """The words of some references, ascending, and which of them are relevant to which picture."""

    words: tuple[str, ...]
    relevance: Judgements = field(repr=False)


def words_of(references: Sequence[Sequence[str]]) -> Words:
    """The words of each picture's references, lower-cased, without STOP_WORDS."""
    counts = [_held(texts) for texts in references]
    words = sorted(set().union(*counts))
    index = {word: row for row, word in enumerate(words)}
    found = [
        (row, index[word], gain) for row, held in enumerate(counts) for word, gain in held.items()
    ]
    table = np.array(found, np.int64).reshape(-1, 3)
    relevance = Judgements.of(table[:, 0], table[:, 1], len(counts), table[:, 2].astype(np.float64))
    return Words(tuple(words), relevance)


def _held(texts: Sequence[str]) -> Counter[str]:
    """In how many of the texts each word occurs."""
    return Counter(
        word for text in texts for word in set(_WORD.findall(text.casefold())) - STOP_WORDS
    )
