"""From which score on a found picture is worth showing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from engine.alignment.alignment import Alignment
from engine.alignment.moments import unit_rows
from engine.identity import identity_of
from engine.search.gallery import COSINE_SPACES, Query
from engine.store import CaptionStore, ImageStore
from engine.types import CaptionHit, SearchSpace, Vector, Vectors

SAMPLE = 256
"""Pictures, and captions, that unrelated pairs are made of: 65,000 pairs."""

STRICTNESS = 0.95
"""The share of unrelated pairs that a shown picture must score above, unless told otherwise.

Measured on 250 held-out COCO pictures and captions (CLIP ViT-B/16; raw, centred and shrink
maps), a caption as the query: at .90 its own picture is kept for 1.00, .99 and .98 of the
queries and 10 % of the others are, at .95 for .97, .94 and .91 and 5 %, at .98 for .84, .86 and
.68 and 2 %. On the sample collections (single words, relevant where a caption has the word)
.95 comes within .02 of the F1 of the best constant of each space, found in hindsight.
"""


@dataclass(frozen=True)
class OwnedVectors:
    """Vectors of one kind, (n, dim) unit rows, and the keys of the pictures that they are of."""

    owners: NDArray[np.str_]
    rows: Vectors


class Relevance:
    """The least score worth showing, for queries of any shape.

    What a cosine is worth depends on the encoder, the map, the space and on whether words, a
    picture or both are looked for: unrelated words and pictures score about .15 in one and 0
    in another, unrelated pictures .5. So queries of the same shape are made of things of the
    collection and scored with pictures that have nothing to do with them.
    """

    def __init__(
        self,
        alignment: Alignment,
        texts: OwnedVectors,
        pictures: OwnedVectors,
        captions: OwnedVectors,
    ) -> None:
        """Take raw `texts` and `pictures`, and the mapped vectors of pictures' `captions`."""
        self.alignment = alignment
        self.samples = {"texts": texts, "pictures": pictures, "captions": captions}
        mapped = OwnedVectors(pictures.owners, alignment.map_images(pictures.rows))
        self._texts = {
            "raw": texts,
            "mapped": OwnedVectors(texts.owners, alignment.map_texts(texts.rows)),
        }
        self._pictures = {"raw": pictures, "mapped": mapped}
        self._found = {"raw": pictures, "mapped": mapped, "caption": captions}
        near = alignment.hubs.of_pictures(mapped.rows) if alignment.hubs else None
        self._taken_off = None if near is None else alignment.hub_strength * near

    @classmethod
    def of(
        cls, alignment: Alignment, images: ImageStore, captions: Iterable[CaptionStore]
    ) -> Relevance:
        """Take a sample of the stores: captions of the first store, as long as it has any."""
        # Ids are hashes, so the first of them are a random sample.
        ids = list(islice(images.ids(), SAMPLE))
        pictures = images.get(ids, with_vectors=True)
        owner = {picture.id: identity_of(picture).key for picture in pictures}
        said = images.vectors(ids, "caption")
        texts = list(islice(chain.from_iterable(map(_first, captions)), SAMPLE))
        return cls(
            alignment,
            _sample([(text.picture, text.vector) for text in texts], alignment.dim),
            _sample([(owner[picture.id], picture.vector) for picture in pictures], alignment.dim),
            _sample([(owner[key], vector) for key, vector in said.items()], alignment.dim),
        )

    def least_score(
        self, query: Query, space: SearchSpace, strictness: float = STRICTNESS
    ) -> float | None:
        """The cosine that the share `strictness` of unrelated pictures stays below.

        None at strictness 0, in the spaces `words` and `fused`, whose scores are no cosines,
        and in collections too small to tell.
        """
        if space not in COSINE_SPACES or strictness <= 0:
            return None
        made = self._queries(query, "raw" if space == "raw" else "mapped")
        if made is None:
            return None
        rows, owners = made
        found = self._found[space]
        related = (owners[:, :, None] == found.owners).any(axis=0)
        scores = rows @ found.rows.T
        if space == "mapped" and self._taken_off is not None and not query.pictures:
            scores = scores - self._taken_off
        unrelated = scores[~related]
        return float(np.quantile(unrelated, strictness)) if unrelated.size else None

    def _queries(self, query: Query, space: str) -> tuple[Vectors, NDArray[np.str_]] | None:
        """Queries of that shape, (SAMPLE, dim), and whose their parts are, (parts, SAMPLE)."""
        texts, pictures = self._texts[space], self._pictures[space]
        parts = [(texts, 1)] * len(query.words) + [(texts, -1)] * len(query.minus)
        parts += [(pictures, 1)] * query.pictures
        if not all(len(sample.rows) for sample, _ in parts):
            return None
        total = np.zeros((SAMPLE, self.alignment.dim))
        owners = []
        for shift, (sample, sign) in enumerate(parts):
            drawn = (np.arange(SAMPLE) + shift) % len(sample.rows)
            total += sign * sample.rows[drawn]
            owners.append(sample.owners[drawn])
        return unit_rows(total, "queries").astype(np.float32), np.array(owners)


def _first(store: CaptionStore) -> list[CaptionHit]:
    return store.get(list(islice(store.ids(), SAMPLE)), with_vectors=True)


def _sample(items: Sequence[tuple[str, Vector | None]], dim: int) -> OwnedVectors:
    held = [(owner, row) for owner, row in items if row is not None]
    owners = np.array([owner for owner, _ in held], dtype=np.str_)
    rows = np.array([row for _, row in held], dtype=np.float32).reshape(-1, dim)
    return OwnedVectors(owners, rows)
