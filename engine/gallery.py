"""Finds pictures by words, by a picture, or by both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL.Image import Image

from engine.alignment import Alignment
from engine.errors import InvalidInput
from engine.store import ImageStore
from engine.timing import Stopwatch
from engine.types import Encoder, Filters, SearchResult, SearchSpace, Vector, Vectors


@dataclass(frozen=True)
class Query:
    """What is looked for: words, a picture or both, nearer to `plus`, away from `minus`."""

    text: str = ""
    image: Image | None = None
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.words and self.image is None:
            raise InvalidInput("the query is empty; give words, a picture or both")

    @property
    def words(self) -> tuple[str, ...]:
        """All wanted words."""
        return tuple(text for text in (self.text, *self.plus) if text.strip())

    def __str__(self) -> str:
        parts = [self.text, *(f"+{text}" for text in self.plus)]
        parts += [f"-{text}" for text in self.minus]
        return " ".join(part for part in parts if part)


class Gallery:
    """The pictures of a store, found in any space."""

    def __init__(self, encoder: Encoder, alignment: Alignment, store: ImageStore) -> None:
        self._encoder = encoder
        self._alignment = alignment
        self.store = store

    def search(
        self,
        query: Query,
        space: SearchSpace = "mapped",
        k: int = 10,
        *,
        filters: Filters | None = None,
        offset: int = 0,
        diversity: float = 0.0,
    ) -> SearchResult:
        """Find the k best pictures after the first `offset`, best first.

        `diversity`, 0 to 1, trades likeness to the query for unlikeness to each other (MMR).
        """
        (result,) = self.search_spaces(
            query, (space,), k, filters=filters, offset=offset, diversity=diversity
        )
        return result

    def search_spaces(
        self,
        query: Query,
        spaces: Sequence[SearchSpace],
        k: int = 10,
        *,
        filters: Filters | None = None,
        offset: int = 0,
        diversity: float = 0.0,
    ) -> list[SearchResult]:
        """Search as `search` does, in several spaces, embedding the query once."""
        watch = Stopwatch()
        with watch.stage("encode"):
            texts, image = self._encode(query)
        with watch.stage("map"):
            raw = _combine(texts, image, len(query.minus))
            mapped_image = self._alignment.map_images(image) if len(image) else image
            mapped = _combine(self._alignment.map_texts(texts), mapped_image, len(query.minus))
        results = []
        for space in spaces:
            searching = Stopwatch()
            with searching.stage("search"):
                hits = self.store.search(
                    space,
                    k,
                    raw=raw,
                    mapped=mapped,
                    words=" ".join(query.words),
                    filters=filters or Filters(),
                    offset=offset,
                    diversity=diversity,
                )
            timings = {**watch.timings_ms, **searching.timings_ms}
            results.append(SearchResult(str(query), space, tuple(hits), timings))
        return results

    def _encode(self, query: Query) -> tuple[Vectors, Vectors]:
        """Raw vectors of the wanted and then the unwanted words, and of the picture."""
        texts = self._encoder.encode_texts([*query.words, *query.minus])
        image = self._encoder.encode_images([query.image] if query.image is not None else [])
        return texts, image


def _combine(texts: Vectors, image: Vectors, minus: int) -> Vector:
    """One unit vector: the wanted vectors added, the last `minus` texts subtracted."""
    signs = np.ones(len(texts), np.float32)
    signs[len(texts) - minus :] = -1
    total: Vector = signs @ texts + image.sum(axis=0)
    length = float(np.linalg.norm(total))
    if length < 1e-6:
        raise InvalidInput("the wanted and the unwanted words cancel each other out; change one")
    return np.asarray(total / length, np.float32)
