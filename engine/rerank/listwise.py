"""Captions judged together: the likelihoods of their letters as the answer, by one step (FIRST)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from string import ascii_uppercase

import numpy as np

from engine.progress import check_cancelled
from engine.rerank.budget import Budget, steps_within
from engine.rerank.judging import Judged, Judging, notes
from engine.rerank.pointwise import WITHOUT_CAPTION, nearest, query_that_fits, told
from engine.rerank.prompts import LISTED, LISTWISE
from engine.stages.protocols import Q, T
from engine.types import Chooser
from engine.words import cut_to_fit

WINDOW = 20
"""Captions in one prompt, at most: RankGPT's (Sun et al., 2023), of which half go on."""

LONGEST = 48
"""Tokens of a caption in a list, at most; a longer one would leave room for few."""


class Listwise(Judging[Q, T]):
    """Orders items by windows over their captions, from the deepest to the first.

    So the best of a window goes on into the next. Of several captions the one counts that shares
    most words with the query, as one line is read of each item.
    """

    name = "rerank: listwise"

    def __init__(
        self,
        chooser: Chooser,
        query_of: Callable[[Q], str],
        captions_of: Callable[[T], Sequence[str]],
    ) -> None:
        self._chooser = chooser
        self._query_of, self._captions_of = query_of, captions_of

    def judge(self, asked: Q, items: Sequence[T], budget: Budget) -> Judged:
        """Score the first items by their rank; see `Judging`."""
        query = query_that_fits(self._query_of(asked), LISTWISE, self._chooser)
        captions = {
            place: nearest(query, texts, 1)[0]
            for place, item in enumerate(items[: budget.top])
            if (texts := told(self._captions_of(item)))
        }
        ranked, done = self._ranked(query, captions, budget)
        scores: list[float | None] = [None] * len(items)
        for rank, place in enumerate(ranked[:done]):
            scores[place] = -float(rank)
        lacking, late = min(len(items), budget.top) - len(captions), done < len(captions)
        said = notes(scores, budget, late=late, lacking=lacking, without=WITHOUT_CAPTION)
        return Judged(tuple(scores), said)

    def _ranked(
        self, query: str, captions: dict[int, str], budget: Budget
    ) -> tuple[list[int], int]:
        """The places in their new order, and how many of them, from the first on, were judged.

        The first window tells the pace; from that follows how deep there is time to begin.
        """
        ranked, start = list(captions), budget.clock()
        if not ranked or not budget.seconds:
            return ranked, 0
        lines, window = self._lines(query, captions)

        def sort(at: int) -> None:
            check_cancelled()
            own = ranked[at : at + window]
            likely = self._letters(query, [lines[place] for place in own])
            ranked[at : at + window] = [own[i] for i in np.argsort(-likely, kind="stable")]

        sort(0)
        each = budget.clock() - start
        step = max(1, window // 2)
        windows = steps_within(budget.seconds - each, each)
        depth = min(len(ranked), window + (windows - 1) * step)
        if len(ranked) <= window or depth <= window:
            return ranked, min(window, len(ranked))
        before = list(ranked)
        for at in _starts(depth, window, step):
            if budget.clock() - start >= budget.seconds:
                return before, window
            sort(at)
        return ranked, depth

    def _lines(self, query: str, captions: dict[int, str]) -> tuple[dict[int, str], int]:
        """The captions as they are listed, and how many of them one prompt has room for."""
        count = self._chooser.count_tokens
        room = self._chooser.max_input_tokens - count(LISTWISE.format(query=query, captions=""))
        most = min(LONGEST, room // 2 - 1)

        def size(text: str) -> int:
            return count(LISTED.format(letter="W", caption=text))

        lines = {
            place: text if size(text) <= most else cut_to_fit(text, lambda one: size(one) <= most)
            for place, text in captions.items()
        }
        # One more for each, as tokens where two lines meet may be others.
        longest = 1 + max(map(size, lines.values()))
        return lines, min(WINDOW, max(2, room // longest))

    def _letters(self, query: str, lines: Sequence[str]) -> np.ndarray:
        """The log-likelihood of each line's letter as the answer."""
        letters = ascii_uppercase[: len(lines)]
        listed = "\n".join(
            LISTED.format(letter=letter, caption=line)
            for letter, line in zip(letters, lines, strict=True)
        )
        prompt = LISTWISE.format(query=query, captions=listed)
        found: np.ndarray = self._chooser.likelihoods([prompt], tuple(letters))[0]
        return found


def _starts(depth: int, window: int, step: int) -> list[int]:
    """Where windows begin, the deepest first, the last at 0."""
    return [max(0, depth - window - at) for at in range(0, depth - window + step, step)]
