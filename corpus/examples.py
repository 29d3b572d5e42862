"""What is measured on: pictures with what people wrote of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.identity import PictureIdentity, Pictures
from engine.types import Vectors


@dataclass(frozen=True, eq=False)
class Examples:
    """Pictures that have captions by people, ascending by `image_ids`.

    `pictures` says which pictures they are, `image_ids` by which names they are shown.
    `images` (n, d) and `captions` (m, d) are raw float32 unit rows; `captions` are the vectors
    of `references`, flattened in order, and `owners` (m,) names the picture row of each.
    `left_out` counts the pictures of the same splits that no one has captioned.
    """

    pictures: tuple[PictureIdentity, ...]
    image_ids: tuple[str, ...]
    uris: tuple[str, ...]
    splits: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    images: Vectors = field(repr=False)
    captions: Vectors = field(repr=False)
    owners: NDArray[np.int64] = field(repr=False)
    left_out: int = 0

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.image_ids)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Examples:
        """The pictures of these rows with their captions, in the order given."""
        chosen = np.asarray(rows, np.int64)
        counts = np.array([len(self.references[row]) for row in chosen], np.int64)
        starts = np.searchsorted(self.owners, chosen)
        captions = [np.arange(s, s + n) for s, n in zip(starts, counts, strict=True)]
        flat = np.concatenate([*captions, np.empty(0, np.int64)]).astype(np.int64)
        return Examples(
            tuple(self.pictures[row] for row in chosen),
            tuple(self.image_ids[row] for row in chosen),
            tuple(self.uris[row] for row in chosen),
            tuple(self.splits[row] for row in chosen),
            tuple(self.references[row] for row in chosen),
            self.images[chosen],
            self.captions[flat],
            np.repeat(np.arange(len(chosen), dtype=np.int64), counts),
            self.left_out,
        )

    def without(self, others: Iterable[PictureIdentity]) -> Examples:
        """Those that are none of the other pictures."""
        known = Pictures(others)
        return self.take([row for row, one in enumerate(self.pictures) if one not in known])

    @property
    def fingerprint(self) -> str:
        """32 hex digits of what the pictures are, of their references and of the vectors."""
        records = zip(self.pictures, self.references, strict=True)
        texts = (text for one, said in records for text in (*sorted(one.keys), *said))
        return fingerprint(texts, self.images, self.captions)


def fingerprint(texts: Iterable[str], *vectors: Vectors) -> str:
    """32 hex digits of texts and vectors, these at the precision in which shards store them."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    for rows in vectors:
        digest.update(np.ascontiguousarray(rows, np.float16).tobytes())
    return digest.hexdigest()[:32]
