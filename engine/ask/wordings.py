"""Other words that captions of the same pictures use for the same, told by these captions alone.

People describe a picture in several captions. Where one says `street`, another says `city`: so of
pictures with `city` in a caption nearly all have `street` in another one, and hardly ever both in
one caption, as words have that merely belong together (`soccer` and `ball`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from itertools import islice

from engine.ask.inflection import number_of, stem, telling
from engine.ask.rules import Fired, ReadQuestion
from engine.search.language import read_search
from engine.store import ImageStore

PICTURES = 2_000
"""So many pictures are read, at most."""

OFTEN = 10
"""In so many pictures a word must stand to be another one's wording."""

IMPLIES = 0.7
"""Of the pictures with the other word such a share has the word itself, in another caption."""

TOGETHER = 0.25
"""Of those with both at most such a share has both in one caption."""

_CAPTIONS = 8
"""Captions of one picture that are read."""

Stem = Hashable


class Wordings:
    """What words are also called, by captions of pictures that have several."""

    def __init__(self, captions: Iterable[Sequence[str]]) -> None:
        """Take the captions of each picture; of one with a single caption nothing is learned."""
        self._spelled: dict[Stem, Counter[str]] = {}
        self._pictures = [
            tuple(self._stems(text) for text in texts[:_CAPTIONS])
            for texts in captions
            if len(texts) > 1
        ]
        self._often = Counter(
            one for picture in self._pictures for one in frozenset().union(*picture)
        )

    def of(self, word: str) -> tuple[str, ...]:
        """What else the word is called, the commonest first; nothing for most words."""
        asked = stem(word)
        both: Counter[Stem] = Counter()
        together: Counter[Stem] = Counter()
        for picture in self._pictures:
            having = [said for said in picture if asked in said]
            if having:
                both.update(frozenset().union(*picture))
                together.update(frozenset().union(*having))
        found = [
            one
            for one, count in both.most_common()
            if one != asked
            and self._often[one] >= OFTEN
            and count >= IMPLIES * self._often[one]
            and together[one] <= TOGETHER * count
        ]
        return tuple(self._spelled[one].most_common(1)[0][0] for one in found)

    def _stems(self, text: str) -> frozenset[Stem]:
        found = set()
        for word in telling(text):
            if number_of(word) is None:
                found.add(one := stem(word))
                self._spelled.setdefault(one, Counter())[word] += 1
        return frozenset(found)


def wordings_of(stores: Iterable[ImageStore]) -> Wordings:
    """Of pictures of the stores; their ids are hashes, so the first are a random sample."""
    found = (store.get(list(islice(store.ids(), PICTURES))) for store in stores)
    return Wordings([hit.captions for hits in found for hit in hits])


def reworded(read: ReadQuestion, wordings: Wordings) -> ReadQuestion:
    """The question with what its words are also called; what stands in quotes is left alone."""
    searches = [read_search(one) for one in read.searches]
    texts = [text for one in searches for text in (one.text, *(it.text for it in one.minus))]
    asked = dict.fromkeys(word for text in texts for word in telling(text))
    others = {
        word: other for word in asked if number_of(word) is None and (other := wordings.of(word))
    }
    fired = tuple(
        Fired("other words", word, f"captions of the same pictures also say {_listed(other)}")
        for word, other in others.items()
    )
    return replace(read, others=others, fired=(*read.fired, *fired))


def _listed(others: Sequence[str]) -> str:
    return " or ".join(f"“{one}”" for one in others)
