"""`auto`: which map to trust, decided on pairs that it has not seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.alignment.closed_form import (
    METHODS,
    REGULARISED,
    UNLEARNED,
    Method,
    Spectrum,
    checked_strength,
    default_strength,
)
from engine.alignment.distractors import SIZE
from engine.alignment.moments import PairMoments, as_rows, unit_rows
from engine.errors import AlignmentError
from engine.tensorfile import Matrix
from engine.types import Vectors
from engine.vectors import unit

STRENGTHS: tuple[float, ...] = tuple(float(f"{10.0**p:.3g}") for p in np.arange(3, -3.5, -0.5))
"""What ridge and shrink are tried with: 1000 to 0.001 in half decades, strongest first."""

_TIE = 1e-6
"""Cosines in float32 that differ by less are the same."""

Candidate = tuple[Method, float | None]


@dataclass(frozen=True)
class Fold:
    """A part of the pairs that is held out in turn.

    `moments` of all its pairs; `images` and `captions` are a bounded sample of them, (m, dim),
    row i with row i, best one row a picture. Memory and time grow with m times the captions
    that each is ranked among.
    """

    moments: PairMoments
    images: Vectors
    captions: Vectors


@dataclass(frozen=True)
class Choice:
    """A row of the table that `auto` chose from.

    `score`: mean reciprocal rank of the right partner on held-out pairs, picture to caption
    (see `select` for what it is ranked among) and back. `difference`: how far the mean lies
    below the best row's, with the `standard_error` of this paired difference; `held_out`: pairs.
    """

    method: Method
    strength: float | None
    score: float
    difference: float
    standard_error: float
    chosen: bool = False
    held_out: int = 0

    def shown(self) -> tuple[str, str, str, str]:
        """Strength, score, difference and its standard error as people read them."""
        strength = "" if self.strength is None else f"{self.strength:g}"
        return (
            strength,
            f"{self.score:.3f}",
            f"{self.difference:.3f}",
            f"{self.standard_error:.3f}",
        )


def best_of_each(choices: Iterable[Choice]) -> list[Choice]:
    """Of each method the row with the best strength, or the chosen one; in the table's order."""
    best: dict[Method, Choice] = {}
    for choice in choices:
        so_far = best.setdefault(choice.method, choice)
        if (choice.chosen, choice.score) > (so_far.chosen, so_far.score):
            best[choice.method] = choice
    return list(best.values())


@dataclass(frozen=True)
class Selection:
    """What was chosen, from what, and why in one sentence."""

    method: Method
    strength: float | None
    choices: tuple[Choice, ...]
    reason: str


def decide(
    moments: PairMoments,
    method: str,
    strength: float | None,
    folds: Sequence[Fold],
    distractors: Vectors | None = None,
) -> Selection:
    """Settle what was asked for; see `Alignment.fit`. Raises AlignmentError."""
    if method == "auto":
        return _decide_auto(moments, strength, folds, distractors)
    known = next((name for name in METHODS if name == method), None)
    if known is None:
        raise AlignmentError(f"unknown method {method!r}; choose one of auto, {', '.join(METHODS)}")
    if known not in REGULARISED:
        if strength is not None:
            raise AlignmentError(f"{known} takes no strength; leave it out, or use shrink or ridge")
        return Selection(known, None, (), f"{known} was asked for")
    if strength is not None:
        strength = checked_strength(known, strength)
        return Selection(known, strength, (), f"{known} was asked for")
    default = default_strength(known, moments.n, moments.dim)
    asked = Selection(known, default, (), f"{known} was asked for, at its default strength")
    return select(moments, folds, distractors, (known,)) or asked


def _decide_auto(
    moments: PairMoments,
    strength: float | None,
    folds: Sequence[Fold],
    distractors: Vectors | None,
) -> Selection:
    if strength is not None:
        raise AlignmentError("auto chooses the strength itself; leave it out, or name a method")
    if not folds:
        raise AlignmentError(
            "auto chooses on held-out pairs and got none; give folds (each with its moments and "
            "a sample of its pairs), or name a method: " + ", ".join(METHODS)
        )
    too_few = (
        f"raw: {moments.n:g} pairs in {len(folds)} folds are too few to tell on held-out pairs "
        "whether a map helps"
    )
    return select(moments, folds, distractors) or Selection("raw", None, (), too_few)


def select(
    moments: PairMoments,
    folds: Sequence[Fold],
    distractors: Vectors | None = None,
    methods: Sequence[Method] = METHODS,
) -> Selection | None:
    """Choose by k-fold cross-validation among `methods`; None if no two folds can be held out.

    Each candidate is fitted on `moments` without the fold and scored on the fold's sample:
    picture to caption among the fold's captions, those of the other folds (at most SIZE of
    them) and `distractors` (p, dim), and caption to picture among the fold's pictures. Pictures
    of other folds are left out, as the map was fitted to put them where they are.

    Without the others a domain with few pairs could not be judged: among the few captions of a
    fold no map makes a mistake, raw no more than any.

    The score is the mean reciprocal rank: every pair counts by degree, so its standard error
    is smaller than that of R@1, which counts a pair as all or nothing. Chosen is the simplest
    candidate that is within one standard error of the best (Breiman et al. 1984, on paired
    differences), in the order of METHODS and from the strongest of STRENGTHS to the weakest.
    """
    candidates = list(_candidates(methods))
    scores, among = [], 0
    for fold in folds:
        others = _others(fold, folds, distractors, moments.dim)
        scored = _score(moments, fold, others, candidates)
        if scored.size:
            scores.append(scored)
            among = max(among, len(fold.captions) + len(others))
    if len(scores) < 2:
        return None
    ranks = np.concatenate(scores, axis=1)
    where = f"on {ranks.shape[1]} held-out pairs in {len(scores)} folds, among {among} captions"
    return _one_standard_error(candidates, ranks, where)


def _others(fold: Fold, folds: Sequence[Fold], distractors: Vectors | None, dim: int) -> Matrix:
    """What the captions of a fold are ranked among, unit rows: the same share of each fold."""
    share = max(1, SIZE // max(1, len(folds) - 1))
    parts = [
        as_rows(other.captions, dim, "held-out captions")[:share]
        for other in folds
        if other is not fold
    ]
    if distractors is not None:
        parts.append(as_rows(distractors, dim, "distractors"))
    return np.concatenate([np.empty((0, dim)), *(unit_rows(part, "distractors") for part in parts)])


def _candidates(methods: Sequence[Method]) -> Iterator[Candidate]:
    for method in METHODS:
        if method in methods:
            strengths = STRENGTHS if method in REGULARISED else (None,)
            yield from ((method, strength) for strength in strengths)


def _score(
    moments: PairMoments, fold: Fold, others: Matrix, candidates: Sequence[Candidate]
) -> Matrix:
    """Reciprocal ranks (candidates, m); m = 0 where the fold cannot be held out."""
    images = as_rows(fold.images, moments.dim, "held-out images")
    captions = as_rows(fold.captions, moments.dim, "held-out captions")
    if len(images) != len(captions):
        raise AlignmentError(
            f"a fold holds {len(images)} images and {len(captions)} captions; give pairs"
        )
    train = moments - fold.moments
    if not len(images) or not train.varied():
        return np.empty((len(candidates), 0))
    x, t = unit_rows(images, "held-out images"), unit_rows(captions, "held-out captions")
    return _score_rows(Spectrum(train), x, np.concatenate([t, others]), candidates)


def _score_rows(
    spectrum: Spectrum, x: Matrix, t: Matrix, candidates: Sequence[Candidate]
) -> Matrix:
    """Reciprocal ranks (candidates, m) of pictures (m, dim); the first m captions are theirs."""
    # float32 from here: half the time, and cosines are compared with a tolerance.
    pictures = ((x - spectrum.mean_image) @ spectrum.basis).astype(np.float32)
    captions = unit((t - spectrum.mean_text) @ spectrum.basis).astype(np.float32)
    rows = []
    for method, strength in candidates:
        if method == "raw":
            rows.append(reciprocal_ranks((x @ t.T).astype(np.float32)))
            continue
        mapped: NDArray[np.floating] = pictures
        if method not in UNLEARNED:
            mapped = spectrum.apply(pictures, method, strength)
        rows.append(reciprocal_ranks(unit(mapped) @ captions.T))
    return np.stack(rows)


def reciprocal_ranks(cosines: NDArray[np.floating]) -> Matrix:
    """The mean of 1/rank of the partner in its row and in its column, (m,), of cosines (m, p).

    Row i's partner is in column i. Among equals the partner stands in the middle: a map that
    sends all to one point earns nothing by it.
    """
    own = np.diag(cosines)
    result = np.zeros(len(own))
    for scores in (cosines, cosines[:, : len(own)].T):
        ahead = (scores > own[:, None] + _TIE).sum(axis=1)
        level = (np.abs(scores - own[:, None]) <= _TIE).sum(axis=1)
        result += 0.5 / (ahead + (level + 1) / 2)
    return result


def _one_standard_error(candidates: Sequence[Candidate], ranks: Matrix, where: str) -> Selection:
    means = ranks.mean(axis=1)
    best = int(means.argmax())
    gaps = ranks[best] - ranks
    differences = gaps.mean(axis=1)
    errors = gaps.std(axis=1, ddof=1) / np.sqrt(ranks.shape[1])
    # Where one pair alone differs both are equal, but for rounding.
    within = differences <= errors * (1 + 1e-9)
    chosen = int(within.argmax())
    choices = tuple(
        Choice(
            *candidate,
            float(means[i]),
            float(differences[i]),
            float(errors[i]),
            i == chosen,
            ranks.shape[1],
        )
        for i, candidate in enumerate(candidates)
    )
    return Selection(*candidates[chosen], choices, _reason(choices, chosen, best, where))


def _reason(choices: Sequence[Choice], chosen: int, best: int, where: str) -> str:
    pick = choices[chosen]
    said = f"{_name(pick)}: mean reciprocal rank {pick.score:.3f} {where}"
    if chosen == best:
        return f"{said}, the best of all that were tried"
    return (
        f"{said}; the best, {_name(choices[best])}, has {choices[best].score:.3f}, which is "
        f"within one standard error ({pick.standard_error:.3f}), and the simpler map is taken"
    )


def _name(choice: Choice) -> str:
    return choice.method + ("" if choice.strength is None else f" (strength {choice.strength:g})")
