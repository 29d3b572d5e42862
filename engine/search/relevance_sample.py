"""What a collection's relevance is measured on: some of its pictures, and captions of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.identity import content_number, identity_of
from engine.store import CaptionStore, ImageStore, caption_id
from engine.types import TRAINING_SPLITS, CaptionHit, ImageHit, Vector, Vectors

if TYPE_CHECKING:
    from engine.store.bm25 import WordEncoder

PICTURES = 2_000
"""Pictures that queries are held against, at most."""

QUERIES = 500
"""Captions that stand for queries, at most: with the pictures a million pairs."""

ENOUGH = 20
"""With fewer pictures, or matched pairs, nothing is told from them."""

Places = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Sample:
    """Raw unit vectors of `pictures` (p, dim) and of `texts` (t, dim).

    `owners` (p,) are the numbers of the pictures (`engine.identity.content_number`).
    `pairs` (n, 2) are the rows of a text and of the picture that people wrote it of, where the map
    was not fitted on it if there are such. `related` (m, 2) are those of a text and of a picture
    that it may be right for: its own, and those whose captions have all of its words.
    """

    pictures: Vectors
    texts: Vectors
    pairs: Places
    related: Places
    owners: Places

    @property
    def told(self) -> NDArray[np.bool_]:
        """Which text may be right for which picture, (t, p)."""
        found = np.zeros((len(self.texts), len(self.pictures)), np.bool_)
        found[self.related[:, 0], self.related[:, 1]] = True
        return found

    @property
    def alike(self) -> Places:
        """Rows of two pictures, (n, 2), of which a caption of the first is right for the other."""
        own = dict(self.pairs.tolist())
        told = ((own.get(text), row) for text, row in self.related.tolist())
        return _places(sorted({(one, row) for one, row in told if one not in (None, row)}))


def take_sample(images: ImageStore, captions: Sequence[CaptionStore], dim: int) -> Sample:
    """Of the stores; captions are those of the pictures, else of the first store that has any."""
    # Ids are hashes, so the first of them are a random sample.
    hits = images.get(list(islice(images.ids(), PICTURES)), with_vectors=True)
    hits = [hit for hit in hits if hit.vector is not None]
    own = _told_apart(hits, captions[0]) if captions else []
    others = [] if len(own) >= ENOUGH else _any_captions(captions)
    rows = {identity_of(hit).key: row for row, hit in enumerate(hits)}
    said = [(one, row) for row, one in own] or [(one, rows.get(one.picture, -1)) for one in others]
    related = _related([one.text for one, _ in said], [hit.captions for hit in hits])
    related |= {(at, row) for at, (_, row) in enumerate(said) if row >= 0}
    pairs = [(at, row) for at, (_, row) in enumerate(said)] if own else []
    return Sample(
        _rows([hit.vector for hit in hits], dim),
        _rows([one.vector for one, _ in said], dim),
        _places(pairs),
        _places(sorted(related)),
        numbers(hits),
    )


def _told_apart(hits: Sequence[ImageHit], captions: CaptionStore) -> list[tuple[int, CaptionHit]]:
    """Captions that people wrote, with the row of their picture; those not trained on if enough."""
    human = [(row, hit) for row, hit in enumerate(hits) if hit.captions and _by_people(hit)]
    unseen = [(row, hit) for row, hit in human if hit.payload["split"] not in TRAINING_SPLITS]
    chosen = unseen if len(unseen) >= ENOUGH else human
    # The first caption of each, then the second: many pictures before many captions.
    deep = max((len(hit.captions) for _, hit in chosen), default=0)
    wanted = {
        caption_id(identity_of(hit).key, hit.captions[at], "human"): row
        for at in range(deep)
        for row, hit in chosen
        if at < len(hit.captions)
    }
    found = captions.get(list(islice(wanted, QUERIES)), with_vectors=True)
    return [(wanted[one.id], one) for one in found if one.vector is not None]


def _by_people(hit: ImageHit) -> bool:
    return bool(hit.payload["source"] == "human")


def _any_captions(captions: Sequence[CaptionStore]) -> list[CaptionHit]:
    found = (store.get(list(islice(store.ids(), QUERIES)), with_vectors=True) for store in captions)
    given = (one for one in chain.from_iterable(found) if one.vector is not None)
    return list(islice(given, QUERIES))


def _related(texts: Sequence[str], captions: Sequence[Sequence[str]]) -> set[tuple[int, int]]:
    """The texts all of whose words stand in captions of a picture, with these pictures."""
    holding: dict[int, set[int]] = defaultdict(set)
    for row, said in enumerate(captions):
        for word in stored_words(said):
            holding[word].add(row)
    found = set()
    for at, text in enumerate(texts):
        words = sought_words(text)
        rows = set.intersection(*(holding[word] for word in words)) if words else set()
        found |= {(at, row) for row in rows}
    return found


def sought_words(text: str) -> frozenset[int]:
    """What the search for words looks for: without stop words, by their stems.

    Nor words that any picture answers to, as captions seldom say that they are of one.
    """
    return frozenset(_word_encoder().query(text).indices) - _of_any_picture()


@cache
def _of_any_picture() -> frozenset[int]:
    return frozenset(_word_encoder().query("photo photograph picture image").indices)


def stored_words(captions: Iterable[str]) -> frozenset[int]:
    """What the search for words finds a picture with these captions by."""
    return frozenset(_word_encoder().document("\n".join(captions)).indices)


@cache
def _word_encoder() -> WordEncoder:
    from engine.store.bm25 import WordEncoder  # imports an engine that most searches do without

    return WordEncoder(typical_words=1.0)


def numbers(hits: Sequence[ImageHit]) -> Places:
    """The numbers of pictures, (n,)."""
    return np.array([content_number(hit.payload["sha256"]) for hit in hits], np.uint64)


def _rows(vectors: Sequence[Vector | None], dim: int) -> Vectors:
    held = [vector for vector in vectors if vector is not None]
    return np.array(held, np.float32).reshape(-1, dim)


def _places(pairs: Sequence[tuple[int, int]]) -> Places:
    return np.array(pairs, np.uint64).reshape(-1, 2)
