"""Captions that descriptions may borrow, read into memory at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.errors import InvalidInput
from engine.types import Vectors


@dataclass(frozen=True, eq=False)
class CaptionTable:
    """Captions that people wrote: `raw` (m, dim) unit rows; "" where there is no picture."""

    texts: tuple[str, ...]
    raw: Vectors = field(repr=False)
    image_ids: tuple[str, ...]
    splits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.texts), len(self.raw), len(self.image_ids)}
        if len(lengths) > 1 or len(self.splits) not in {0, len(self.texts)}:
            raise InvalidInput(
                f"{len(self.texts)} captions, {len(self.raw)} vectors, {len(self.image_ids)} "
                f"picture ids and {len(self.splits)} splits do not pair up"
            )
