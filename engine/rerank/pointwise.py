"""Each caption judged by itself: how likely the model answers yes, this one fits (monoT5's way)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.errors import InvalidInput
from engine.rerank.budget import Budget
from engine.rerank.judging import Judged, Judging, in_batches
from engine.rerank.prompts import NO, POINTWISE, YES
from engine.stages.protocols import Q, T
from engine.types import Chooser
from engine.words import content_words, cut_to_fit

TOGETHER = 16
"""Items judged in one batch."""

CAPTIONS = 5
"""Captions of one item that are read, at most: one with very many would take all of the time."""

WITHOUT_CAPTION = "without a caption"


class Pointwise(Judging[Q, T]):
    """Scores items by the likelihood of yes; of several captions the best one counts.

    Of more than `CAPTIONS` those are read that share most words with the query.
    """

    name = "rerank: pointwise"

    def __init__(
        self,
        chooser: Chooser,
        query_of: Callable[[Q], str],
        captions_of: Callable[[T], Sequence[str]],
    ) -> None:
        self._chooser = chooser
        self._query_of, self._captions_of = query_of, captions_of

    def judge(self, asked: Q, items: Sequence[T], budget: Budget) -> Judged:
        """Score the first items; see `Judging`."""
        query = query_that_fits(self._query_of(asked), POINTWISE, self._chooser)
        captions = [
            nearest(query, told(self._captions_of(item)), CAPTIONS) for item in items[: budget.top]
        ]
        known: dict[str, float] = {}  # equal captions get equal scores, whatever their batches

        def score(places: list[int]) -> list[float | None]:
            asked_for = dict.fromkeys(text for place in places for text in captions[place])
            known.update(self._likelihoods(query, [one for one in asked_for if one not in known]))
            return [max(known[text] for text in captions[place]) for place in places]

        places = [place for place, texts in enumerate(captions) if texts]
        return in_batches(
            len(items), places, score, budget, together=TOGETHER, without=WITHOUT_CAPTION
        )

    def _likelihoods(self, query: str, captions: Sequence[str]) -> dict[str, float]:
        """The log-probability of yes for each caption."""
        prompts = [self._prompt(query, caption) for caption in captions]
        rows = self._chooser.likelihoods(prompts, (YES, NO))
        return dict(zip(captions, rows[:, 0].tolist(), strict=True))

    def _prompt(self, query: str, caption: str) -> str:
        """The question with as much of the caption as the model reads."""

        def prompt(text: str) -> str:
            return POINTWISE.format(caption=text, query=query)

        def fits(text: str) -> bool:
            return self._chooser.count_tokens(prompt(text)) <= self._chooser.max_input_tokens

        return prompt(caption if fits(caption) else cut_to_fit(caption, fits))


def told(captions: Sequence[str]) -> list[str]:
    """The captions that say something, each on one line."""
    lines = (" ".join(caption.split()) for caption in captions)
    return [line for line in lines if line]


def nearest(query: str, captions: Sequence[str], count: int) -> list[str]:
    """Of the captions those that share most words with the query, equal ones in their order."""
    if len(captions) <= count:
        return list(captions)
    wanted = set(content_words(query))
    return sorted(captions, key=lambda one: -len(wanted & set(content_words(one))))[:count]


def query_that_fits(query: str, template: str, chooser: Chooser) -> str:
    """The query on one line, and so much of it that captions have half of the prompt's room.

    Raises InvalidInput where the model reads too little for the question itself.
    """
    slots = dict.fromkeys(("caption", "captions"), "")

    def size(text: str) -> int:
        return chooser.count_tokens(template.format(query=text, **slots))

    room = chooser.max_input_tokens - size("")
    if room < LEAST_ROOM:
        raise InvalidInput(
            f"{chooser.id} reads {chooser.max_input_tokens} tokens, too few to ask it which "
            "captions fit; rerank with another generator, or by picture"
        )
    line, longest = " ".join(query.split()), size("") + room // 2
    return line if size(line) <= longest else cut_to_fit(line, lambda one: size(one) <= longest)


LEAST_ROOM = 8
"""Tokens that a query and a caption need together, at least."""
