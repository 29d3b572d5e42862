"""Scores captions against human references, by the metrics that papers on captioning report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import InvalidInput, MetricUnavailable
from evaluation.intervals import Values, interval, resampled_sums
from evaluation.overlap import ORDERS, bleu, cider_d, corpus_bleu, rouge_l
from evaluation.tokenizer import tokenize

BLEU = tuple(f"bleu-{order + 1}" for order in range(ORDERS))
CAPTION_METRICS = (*BLEU, "meteor", "rouge-l", "cider-d", "spice")

Scorer = Callable[[Sequence[str], Sequence[Sequence[str]]], Values]
_SCORERS: dict[str, Scorer] = {"rouge-l": rouge_l, "cider-d": cider_d}


@dataclass(frozen=True, eq=False)
class Scores:
    """One metric: `values` (n,) per picture, their mean and its 95 % bootstrap interval.

    All are fractions, CIDEr-D up to 10. BLEU's `mean` is the figure of the whole corpus, as
    papers report it, and its interval is of that.
    """

    metric: str
    values: Values
    mean: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class CaptionScores:
    """What captions score by each metric, and why a metric is `missing`.

    `punctuation` says whether marks were kept as tokens; scores with and without differ.
    """

    scores: Mapping[str, Scores]
    missing: Mapping[str, str]
    punctuation: bool


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
    chosen = _chosen(metrics)
    _check(captions, references)
    try:
        texts, refs = _tokenized(captions, references, punctuation)
    except MetricUnavailable as error:
        return CaptionScores({}, dict.fromkeys(chosen, str(error)), punctuation)
    scores: dict[str, Scores] = {}
    missing: dict[str, str] = {}
    if set(BLEU) & set(chosen):
        scores |= _bleu(texts, refs, seed)
    values: dict[str, Values] = {}
    for metric in [metric for metric in chosen if metric not in BLEU]:
        try:
            values[metric] = _scorer(metric)(texts, refs)
        except MetricUnavailable as error:
            missing[metric] = str(error)
    scores |= _with_intervals(values, seed)
    return CaptionScores(
        {metric: scores[metric] for metric in chosen if metric in scores}, missing, punctuation
    )


def _scorer(metric: str) -> Scorer:
    if metric not in _SCORERS:
        raise MetricUnavailable("is not part of this version")
    return _SCORERS[metric]


def _chosen(metrics: Iterable[str]) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(metrics))
    unknown = [metric for metric in chosen if metric not in CAPTION_METRICS]
    if unknown:
        raise InvalidInput(
            f"unknown caption metric {unknown[0]!r}; choose from {', '.join(CAPTION_METRICS)}"
        )
    return chosen


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


def _bleu(texts: list[str], references: list[list[str]], seed: int) -> dict[str, Scores]:
    values, counts = bleu(texts, references)
    corpus = corpus_bleu(counts.sum(axis=0))
    drawn = corpus_bleu(resampled_sums(counts, seed=seed))
    return {
        metric: Scores(metric, values[order], float(corpus[order]), *interval(drawn[:, order]))
        for order, metric in enumerate(BLEU)
    }


def _with_intervals(values: Mapping[str, Values], seed: int) -> dict[str, Scores]:
    """The scores of metrics whose figure is the mean over pictures; one draw serves all."""
    if not values:
        return {}
    columns = np.stack(list(values.values()), axis=1)
    means = resampled_sums(columns, seed=seed) / len(columns)
    return {
        metric: Scores(metric, column, float(column.mean()), *interval(means[:, number]))
        for number, (metric, column) in enumerate(values.items())
    }
