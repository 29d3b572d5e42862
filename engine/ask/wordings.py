"""Other words that captions of the same pictures use for the same, told by these captions alone.

People describe a picture in several captions, each in words of its own. Where one says `city`,
another says `street` about as often as where one says `street`; and hardly ever one says both, as
they do of words that merely belong together, like `soccer` and `ball`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from engine.ask.inflection import number_of, stem, telling
from engine.ask.rules import Fired, ReadQuestion
from engine.search.language import read_search
from engine.store import ImageStore

PICTURES = 2_000
"""So many pictures are read, at most."""

OFTEN = 10
"""In so many captions a word must stand to be another one's wording."""

ALIKE = 0.8
"""Beside a wording the word is said so often, measured by how often it is beside itself."""

AGREED = 0.5
"""And in such a share of cases at least: what few captions repeat tells nothing."""

BACK = 0.5
"""And the wording beside the word so often, measured by how often it is beside itself."""

TOGETHER = 0.25
"""Of captions with a wording, beside which the word is said, such a share has both at most."""

_CAPTIONS = 8
"""Captions of one picture that are read."""

Stem = Hashable


@dataclass(frozen=True)
class _Beside:
    """What is said beside a word: in other captions of its pictures, and in the same ones.

    `repeated` is the share of its captions beside which another one has it.
    """

    apart: Counter[Stem]
    together: Counter[Stem]
    repeated: float


class Wordings:
    """What words are also called, by captions of pictures that have several."""

    def __init__(self, captions: Iterable[Sequence[str]]) -> None:
        """Take the captions of each picture; of one with a single caption nothing is learned."""
        self._spelled: dict[Stem, Counter[str]] = defaultdict(Counter)
        several = (texts[:_CAPTIONS] for texts in captions if len(texts) > 1)
        self._pictures = [tuple(map(self._stems, texts)) for texts in several]
        self._often = Counter(one for said in self._pictures for text in said for one in text)
        self._having: dict[Stem, list[int]] = defaultdict(list)
        for at, said in enumerate(self._pictures):
            for one in frozenset().union(*said):
                self._having[one].append(at)

    def of(self, word: str) -> tuple[str, ...]:
        """What else the word is called, the commonest first; nothing for most words."""
        asked = stem(word)
        beside = self._beside(asked)
        least = max(AGREED, ALIKE * beside.repeated)
        found = [
            one
            for one, count in beside.apart.most_common()
            if (apart := self._often[one] - beside.together[one]) >= OFTEN
            and count >= least * apart
            and beside.together[one] <= TOGETHER * (count + beside.together[one])
            and self._is_back(one, asked)
        ]
        return tuple(self._spelled[one].most_common(1)[0][0] for one in found)

    def _is_back(self, one: Stem, asked: Stem) -> bool:
        """Whether a wording is said in the word's place, too."""
        beside = self._beside(one)
        apart = self._often[asked] - beside.together[asked]
        return beside.apart[asked] >= BACK * beside.repeated * apart

    def _beside(self, asked: Stem) -> _Beside:
        apart: Counter[Stem] = Counter()
        together: Counter[Stem] = Counter()
        repeated = 0
        for at in self._having.get(asked, ()):
            having = [said for said in self._pictures[at] if asked in said]
            repeated += len(having) if len(having) > 1 else 0
            together.update(one for said in having for one in said)
            apart.update(one for said in self._pictures[at] if asked not in said for one in said)
        return _Beside(apart, together, repeated / max(1, self._often[asked]))

    def _stems(self, text: str) -> frozenset[Stem]:
        found = set()
        for word in telling(text):
            if number_of(word) is None:
                found.add(one := stem(word))
                self._spelled[one][word] += 1
        return frozenset(found)


def wordings_of(stores: Iterable[ImageStore]) -> Wordings:
    """Of pictures of the stores; their ids are hashes, so the first are a random sample."""
    found = (store.get(list(islice(store.ids(), PICTURES))) for store in stores)
    return Wordings([hit.captions for hits in found for hit in hits])


def reworded(read: ReadQuestion, wordings: Wordings) -> ReadQuestion:
    """The question with what its words are also called."""
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
