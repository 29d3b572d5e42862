"""BLEU, ROUGE-L and CIDEr-D of tokenised captions, by pycocoevalcap's scorers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.errors import MetricUnavailable
from evaluation.metrics.intervals import Values

ORDERS = 4
"""BLEU-1 to BLEU-4."""
_TINY, _SMALL = 1e-15, 1e-9
"""What pycocoevalcap adds above and below the line, so that nothing is divided by zero."""

Texts = Sequence[str]
References = Sequence[Texts]


def bleu(captions: Texts, references: References) -> tuple[Values, Values]:
    """BLEU-1 to BLEU-4 per picture (n, 4), and what the corpus figure is counted from.

    The counts are (n, 10) per picture: the caption's length, the closest reference's length,
    and for each order the n-grams written and those that a reference has.
    """
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer

    scorer = BleuScorer(n=ORDERS)
    for caption, refs in zip(captions, references, strict=True):
        scorer += (caption, list(refs))
    _, per_picture = scorer.compute_score(option="closest", verbose=0)
    counts = [
        (
            count["testlen"],
            _closest(count["testlen"], count["reflen"]),
            *count["guess"],
            *count["correct"],
        )
        for count in scorer.ctest
    ]
    return np.array(per_picture).T, np.array(counts, np.float64)


def _closest(length: int, references: Sequence[int]) -> int:
    """The reference length nearest the caption's; of two as near, the shorter."""
    return min((abs(reference - length), reference) for reference in references)[1]


def corpus_bleu(counts: Values) -> Values:
    """BLEU-1 to BLEU-4 (..., 4) of summed counts (..., 10), as pycocoevalcap figures them."""
    length, reference = counts[..., 0], counts[..., 1]
    written, found = counts[..., 2 : 2 + ORDERS], counts[..., 2 + ORDERS :]
    precision = (found + _TINY) / (written + _SMALL)
    ratio = (length + _TINY) / (reference + _SMALL)
    brevity = np.exp(np.minimum(0, 1 - 1 / ratio))
    orders = np.arange(1, ORDERS + 1)
    return np.asarray(precision.cumprod(axis=-1) ** (1 / orders) * brevity[..., None])


def rouge_l(captions: Texts, references: References) -> Values:
    """ROUGE-L per picture (n,); a caption without words scores 0."""
    from pycocoevalcap.rouge.rouge import Rouge

    scorer = Rouge()
    return np.array(
        [
            scorer.calc_score([caption], refs) if caption else 0.0
            for caption, refs in zip(captions, references, strict=True)
        ]
    )


def cider_d(captions: Texts, references: References) -> Values:
    """CIDEr-D per picture (n,); words weigh by how few of these pictures' references have them.

    Raises MetricUnavailable where such weights say nothing: on a single picture all are 0.
    """
    from pycocoevalcap.cider.cider_scorer import CiderScorer

    if len(captions) < 2:
        raise MetricUnavailable(
            "weighs words by the number of pictures they occur with: with one picture every "
            "weight is 0; give two pictures or, to mean something, hundreds"
        )
    if not any(ref for refs in references for ref in refs):
        raise MetricUnavailable("there is not one word in the references")
    scorer = CiderScorer()
    for caption, refs in zip(captions, references, strict=True):
        scorer += (caption, list(refs))
    _, per_picture = scorer.compute_score()
    return np.asarray(per_picture, np.float64)
