"""Captions that descriptions may borrow, read into memory at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from corpus.examples import fingerprint
from engine.errors import InvalidInput
from engine.types import Vectors


@dataclass(frozen=True, eq=False)
class CaptionTable:
    """Captions that people wrote: `raw` (m, dim) unit rows.

    `pictures` are the keys of the pictures that they are of (`engine.identity`), "" for none.
    """

    texts: tuple[str, ...]
    raw: Vectors = field(repr=False)
    pictures: tuple[str, ...]
    splits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.texts), len(self.raw), len(self.pictures)}
        if len(lengths) > 1 or len(self.splits) not in {0, len(self.texts)}:
            raise InvalidInput(
                f"{len(self.texts)} captions, {len(self.raw)} vectors, {len(self.pictures)} "
                f"pictures and {len(self.splits)} splits do not pair up"
            )

    def take(self, kept: Sequence[bool]) -> CaptionTable:
        """The captions for which `kept` (m,) is true."""
        rows = np.flatnonzero(kept)
        return CaptionTable(
            tuple(self.texts[row] for row in rows),
            self.raw[rows],
            tuple(self.pictures[row] for row in rows),
            tuple(self.splits[row] for row in rows) if self.splits else (),
        )

    def __add__(self, other: CaptionTable) -> CaptionTable:
        """The captions of both."""
        return CaptionTable(
            self.texts + other.texts,
            np.concatenate([self.raw, other.raw]),
            self.pictures + other.pictures,
            self.splits + other.splits,
        )

    @property
    def fingerprint(self) -> str:
        """32 hex digits of all that is in it."""
        return fingerprint((*self.texts, *self.pictures, *self.splits), self.raw)
