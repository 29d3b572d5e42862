"""Hub correction: captions that are near to every picture count for less.

In spaces of many dimensions some captions are among the nearest of very many pictures (hubs).
How near a caption is to a reference bank of pictures tells how much of its nearness is owed
to that, and is taken off its cosine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.alignment.alignment import GapMap
from engine.errors import InvalidInput
from engine.tensorfile import Matrix
from engine.types import CaptionHit, Space, Vectors

DEPTH = 128
"""Among how many of the nearest captions, at least, the correction chooses."""

HubMethod = Literal["nnn", "softmax"]


@dataclass(frozen=True)
class HubRule:
    """How a caption's nearness to the bank becomes what is taken off its cosines.

    `nnn`: `strength` times the mean cosine with its `neighbours` nearest pictures of the bank
    (Chowdhury et al. 2024). `softmax`: the logarithm of its mean exp(strength * cosine) over
    the bank, divided by strength; ranking is then that of the inverted softmax (Smith et al.
    2017). Raises InvalidInput for a strength that is not positive or no neighbours.
    """

    method: HubMethod = "nnn"
    strength: float = 0.5
    neighbours: int = 16

    def __post_init__(self) -> None:
        if not (np.isfinite(self.strength) and self.strength > 0) or self.neighbours < 1:
            raise InvalidInput(
                f"hub correction with strength {self.strength} and {self.neighbours} neighbours: "
                "the strength must be above 0, the neighbours at least 1"
            )

    def penalties(self, captions: Vectors, bank: Vectors) -> Matrix:
        """What is taken off the cosines of captions (n, dim), given pictures (b, dim): (n,)."""
        cosines = captions @ bank.T
        if self.method == "nnn":
            count = min(self.neighbours, len(bank))
            return np.asarray(
                self.strength * np.partition(cosines, -count, axis=1)[:, -count:].mean(axis=1)
            )
        scaled = self.strength * cosines
        highest = scaled.max(axis=1, keepdims=True)
        sums = np.exp(scaled - highest).mean(axis=1)
        return np.asarray((np.log(sums) + highest[:, 0]) / self.strength)


class Hubs:
    """Orders captions by their corrected nearness; each one's penalty is computed once."""

    def __init__(self, bank: Vectors, alignment: GapMap, rule: HubRule | None = None) -> None:
        """Take a bank of raw picture vectors, (b, dim) unit rows, best of training pictures."""
        if not len(bank):
            raise InvalidInput("hub correction needs at least one picture in its bank")
        self._alignment = alignment
        self._rule = rule or HubRule()
        self._banks: Mapping[Space, Vectors] = {
            "raw": bank,
            "mapped": alignment.map_images(bank),
        }
        self._penalties: dict[tuple[Space, str], float] = {}

    def corrected(self, hits: Sequence[CaptionHit], space: Space) -> list[CaptionHit]:
        """The hits of one query, which have vectors, in their corrected order."""
        self._learn([hit for hit in hits if (space, hit.id) not in self._penalties], space)
        penalties = self._penalties
        return sorted(hits, key=lambda hit: hit.score - penalties[space, hit.id], reverse=True)

    def _learn(self, hits: Sequence[CaptionHit], space: Space) -> None:
        rows = [hit.vector for hit in hits if hit.vector is not None]
        if not rows:
            return
        vectors = np.stack(rows)
        if space == "mapped":
            vectors = self._alignment.map_texts(vectors)
        penalties = self._rule.penalties(vectors, self._banks[space])
        for hit, penalty in zip(hits, penalties.tolist(), strict=True):
            self._penalties[space, hit.id] = penalty
