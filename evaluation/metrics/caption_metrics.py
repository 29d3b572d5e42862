"""Scores captions against human references, by the metrics that papers on captioning report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import InvalidInput, MetricUnavailable
from evaluation.metrics.intervals import (
    Difference,
    Values,
    interval,
    paired,
    paired_figures,
    resampled_sums,
)
from evaluation.metrics.meteor import meteor_counts, meteor_score
from evaluation.metrics.overlap import (
    ORDERS,
    References,
    Texts,
    bleu,
    cider_d,
    corpus_bleu,
    rouge_l,
)
from evaluation.metrics.spice import spice
from evaluation.metrics.tokenizer import tokenize

BLEU = tuple(f"bleu-{order + 1}" for order in range(ORDERS))
CAPTION_METRICS = (*BLEU, "meteor", "rouge-l", "cider-d", "spice")


@dataclass(frozen=True, eq=False)
class Scores:
    """One metric: `values` (n,) per picture, their mean and its 95 % bootstrap interval.

    All are fractions, CIDEr-D up to 10. Of BLEU and METEOR `mean` is the figure of the whole
    corpus, as papers report it, and the interval is of that; `counts` (n, c) per picture are what
    it is figured from, None for metrics whose figure is the mean of `values`.
    """

    metric: str
    values: Values
    mean: float
    low: float
    high: float
    counts: Values | None = None

    def minus(self, other: Scores, *, seed: int) -> Difference:
        """By how much the figure is above another's on the same pictures, in the same order."""
        return difference(
            self.metric, (self.values, self.counts), (other.values, other.counts), seed=seed
        )


@dataclass(frozen=True, eq=False)
class CaptionScores:
    """What captions score by each metric, and why a metric is `missing`.

    `punctuation` says whether marks were kept as tokens; scores with and without differ.
    """

    scores: Mapping[str, Scores]
    missing: Mapping[str, str]
    punctuation: bool


def checked_metrics(metrics: Iterable[str]) -> tuple[str, ...]:
    """The metrics, each once; raises InvalidInput for none and for an unknown one."""
    chosen = tuple(dict.fromkeys(metrics))
    unknown = [metric for metric in chosen if metric not in CAPTION_METRICS]
    if unknown or not chosen:
        what = f"unknown caption metric {unknown[0]!r}" if unknown else "no caption metric is named"
        raise InvalidInput(f"{what}; choose from {', '.join(CAPTION_METRICS)}")
    return chosen


def score_captions(
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Iterable[str] = CAPTION_METRICS,
    *,
    punctuation: bool = False,
    seed: int = 0,
) -> CaptionScores:
    """Score one caption per picture against that picture's references.

    A metric that cannot be computed (no Java, its files not to be had) is in `missing` with
    the reason. CIDEr-D weighs words over the references given: its figures compare only
    between captions of the same pictures. `seed` draws the bootstrap.

    Raises InvalidInput where captions and references do not pair or a metric is unknown.
    """
    chosen = checked_metrics(metrics)
    _check(captions, references)
    try:
        texts, refs = _tokenized(captions, references, punctuation)
    except MetricUnavailable as error:
        return CaptionScores({}, dict.fromkeys(chosen, str(error)), punctuation)
    scores: dict[str, Scores] = {}
    missing: dict[str, str] = {}
    for family, scorer in _FAMILIES.items():
        wanted = [metric for metric in family if metric in chosen]
        if not wanted:
            continue
        try:
            found = scorer(texts, refs).scores(family, seed)
        except MetricUnavailable as error:
            missing |= dict.fromkeys(wanted, str(error))
        else:
            scores |= {metric: found[metric] for metric in wanted}
    return CaptionScores(scores, missing, punctuation)


@dataclass(frozen=True, eq=False)
class _Measured:
    """Metrics of one family: values (n, m) per picture, counts (n, c) and the figures they sum to.

    `figures` takes summed counts (…, c) to the metrics of the whole (…, m).
    """

    values: Values
    counts: Values
    figures: Callable[[Values], Values]

    def scores(self, family: Sequence[str], seed: int) -> dict[str, Scores]:
        means = self.figures(self.counts.sum(axis=0))
        drawn = self.figures(resampled_sums(self.counts, seed=seed))
        return {
            metric: Scores(
                metric,
                self.values[:, column],
                float(means[column]),
                *interval(drawn[:, column]),
                self.counts if metric in CORPUS_FIGURES else None,
            )
            for column, metric in enumerate(family)
        }


def _bleu(texts: Texts, references: References) -> _Measured:
    values, counts = bleu(texts, references)
    return _Measured(values, counts, corpus_bleu)


def _meteor(texts: Texts, references: References) -> _Measured:
    counts = meteor_counts(texts, references)
    return _Measured(
        meteor_score(counts)[:, None], counts, lambda sums: meteor_score(sums)[..., None]
    )


def _averaged(scorer: Callable[[Texts, References], Values]) -> _Family:
    """The family of one metric whose figure is the mean over pictures."""

    def measured(texts: Texts, references: References) -> _Measured:
        values = scorer(texts, references)[:, None]
        return _Measured(values, values, lambda sums: sums / len(values))

    return measured


_Family = Callable[[Texts, References], _Measured]
_FAMILIES: Mapping[tuple[str, ...], _Family] = {
    BLEU: _bleu,
    ("meteor",): _meteor,
    ("rouge-l",): _averaged(rouge_l),
    ("cider-d",): _averaged(cider_d),
    ("spice",): _averaged(spice),
}


def _bleu_figure(order: int) -> Callable[[Values], Values]:
    return lambda sums: np.asarray(corpus_bleu(sums)[..., order])


CORPUS_FIGURES: Mapping[str, Callable[[Values], Values]] = {
    **{metric: _bleu_figure(order) for order, metric in enumerate(BLEU)},
    "meteor": meteor_score,
}
"""Metrics whose figure is no mean over pictures: counts (..., c), summed, to the figure (...)."""


def difference(
    metric: str,
    a: tuple[Values, Values | None],
    b: tuple[Values, Values | None],
    *,
    seed: int,
) -> Difference:
    """What a metric's figure of one system is above another's: of both the values and the counts.

    It is the difference of the two figures that are shown; the interval is of the same drawn
    pictures for both.
    """
    (values_a, counts_a), (values_b, counts_b) = a, b
    if counts_a is None or counts_b is None:
        return paired(values_a, values_b, seed=seed)
    return paired_figures(counts_a, counts_b, CORPUS_FIGURES[metric], seed=seed)


def _check(captions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if len(captions) != len(references):
        raise InvalidInput(
            f"{len(captions):,} captions do not pair with the references of "
            f"{len(references):,} pictures"
        )
    if not captions:
        raise InvalidInput("there are no captions to score")
    for row, refs in enumerate(references):
        if isinstance(refs, str) or not refs:
            raise InvalidInput(f"picture {row} needs a list of at least one reference")


def _tokenized(
    captions: Sequence[str], references: Sequence[Sequence[str]], punctuation: bool
) -> tuple[list[str], list[list[str]]]:
    """Captions and references as tokens, by one start of Java."""
    flat = [text for refs in references for text in refs]
    tokens = iter(tokenize([*captions, *flat], punctuation=punctuation))
    texts = [next(tokens) for _ in captions]
    return texts, [[next(tokens) for _ in refs] for refs in references]
