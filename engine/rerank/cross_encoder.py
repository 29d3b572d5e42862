"""Each picture judged beside a text, by a model that looks at one while it reads the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PIL.Image import Image

from engine.rerank.budget import Budget
from engine.rerank.judging import Judged, Judging, in_batches
from engine.stages.protocols import Q, T
from engine.types import Matcher

TOGETHER = 8
"""Items judged in one batch: so many pictures are open at once."""

Pair = tuple[Image, str]


class CrossEncoder(Judging[Q, T]):
    """Scores items by the odds that text and picture belong together.

    `pair_of` gives both, of which the question has one and the item the other; None where the
    picture cannot be opened any more.
    """

    name = "rerank: picture"

    def __init__(self, matcher: Matcher, pair_of: Callable[[Q, T], Pair | None]) -> None:
        self._matcher, self._pair_of = matcher, pair_of

    def judge(self, asked: Q, items: Sequence[T], budget: Budget) -> Judged:
        """Score the first items; see `Judging`."""

        def score(places: list[int]) -> list[float | None]:
            pairs = [self._pair_of(asked, items[place]) for place in places]
            odds = self._matcher.match([one for one in pairs if one is not None]).tolist()
            given = iter(odds)
            return [None if one is None else next(given) for one in pairs]

        places = range(min(len(items), budget.top))
        return in_batches(
            len(items),
            places,
            score,
            budget,
            together=TOGETHER,
            without="whose picture cannot be opened",
        )
