"""The captions for a prompt in a reranker's order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL.Image import Image

from engine.describe.reranking import consensus
from engine.describe.stages import Borrowed, Seen, vectors_of
from engine.rerank.budget import Budget
from engine.rerank.judging import Judged, Judging
from engine.stages.protocols import Q
from engine.types import CaptionHit


class ByAgreement(Judging[Q, Borrowed]):
    """Judges captions by the one that they agree on most: a text model sees no picture."""

    def __init__(self, reading: Judging[str, Borrowed]) -> None:
        """`reading` judges captions for words."""
        self._reading = reading
        self.name = reading.name

    def judge(self, asked: Q, items: Sequence[Borrowed], budget: Budget) -> Judged:
        """Score the first captions; see `Judging`."""
        del asked
        scores = np.array([hit.score for hit in items])
        [agreed] = consensus(vectors_of(items), scores, 1)
        return self._reading.judge(items[agreed].text, items, budget)


def beside(seen: Seen, hit: CaptionHit) -> tuple[Image, str] | None:
    """The picture that is described beside a caption; None where it is not there to be seen."""
    return None if seen.image is None else (seen.image, hit.text)
