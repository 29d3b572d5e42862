"""`auto`: which map to trust, and how much of hubs to take off, by pairs that it has not seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

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
from engine.alignment.hubs import STRENGTHS as HUB_STRENGTHS
from engine.alignment.hubs import nearest_mean
from engine.alignment.moments import PairMoments, as_rows, unit_rows
from engine.errors import AlignmentError
from engine.tensorfile import Matrix
from engine.types import Vectors
from engine.vectors import unit

STRENGTHS: tuple[float, ...] = tuple(float(f"{10.0**p:.3g}") for p in np.arange(3, -3.5, -0.5))
"""What ridge and shrink are tried with: 1000 to 0.001 in half decades, strongest first."""

OTHERS = 1000
"""Pairs of other folds whose captions those that are held out are ranked among: at most so many."""

_TIE = 1e-6
"""Cosines in float32 that differ by less are the same."""

Candidate = tuple[Method, float | None]
"""A map: its method, and the strength of ridge and shrink."""


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
    (see `select` for what it is ranked among) and back. `hub_strength`: how much of each point's
    nearness to everything was taken off. `difference`: how far the mean lies below the best row's,
    with the `standard_error` of this paired difference: rows without hub correction are held to
    the best of these, rows with it to the best of those. `held_out`: pairs.
    """

    method: Method
    strength: float | None
    score: float
    difference: float
    standard_error: float
    chosen: bool = False
    hub_strength: float = 0.0
    held_out: int = 0

    def shown(self) -> tuple[str, str, str, str, str]:
        """Both strengths, score, difference and its standard error as people read them."""
        strength = "" if self.strength is None else f"{self.strength:g}"
        return (
            strength,
            f"{self.hub_strength:g}",
            f"{self.score:.3f}",
            f"{self.difference:.3f}",
            f"{self.standard_error:.3f}",
        )


def best_of_each(choices: Iterable[Choice]) -> list[Choice]:
    """Of each method the row with the best strength, or the chosen one; in the table's order.

    Without hub correction and, where it was tried, with it.
    """
    rows = list(choices)
    taken = {(choice.method, choice.strength) for choice in rows if choice.chosen}
    best: dict[tuple[Method, bool], tuple[tuple[bool, bool, float], Choice]] = {}
    for choice in rows:
        worth = (choice.method, choice.strength) in taken, choice.chosen, choice.score
        kind = choice.method, choice.hub_strength > 0
        if kind not in best or worth > best[kind][0]:
            best[kind] = worth, choice
    return [best[kind][1] for kind in sorted(best, key=lambda one: (METHODS.index(one[0]), one[1]))]


@dataclass(frozen=True)
class Selection:
    """What was chosen, from what, and why in one sentence."""

    method: Method
    strength: float | None
    choices: tuple[Choice, ...]
    reason: str
    hub_strength: float = 0.0


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
    asked = f"{known} was asked for"
    if known not in REGULARISED:
        if strength is not None:
            raise AlignmentError(f"{known} takes no strength; leave it out, or use shrink or ridge")
    elif strength is not None:
        strength = checked_strength(known, strength)
    else:
        default = default_strength(known, moments.n, moments.dim)
        given = Selection(known, default, (), f"{asked}, at its default strength")
        return select(moments, folds, distractors, _candidates((known,))) or given
    given = Selection(known, strength, (), asked)
    return select(moments, folds, distractors, [(known, strength)]) or given


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
    candidates: Iterable[Candidate] = (),
) -> Selection | None:
    """Choose by k-fold cross-validation among maps; None if no two folds can be held out.

    Without `candidates` among all methods with all strengths.

    Each candidate is fitted on `moments` without the fold and scored on the fold's sample:
    picture to caption among the fold's captions, those of the other folds (at most OTHERS
    of them) and `distractors` (p, dim), and caption to picture among the fold's pictures. Pictures
    of other folds are left out, as the map was fitted to put them where they are.

    Without the others a domain with few pairs could not be judged: among the few captions of a
    fold no map makes a mistake, raw no more than any.

    The score is the mean reciprocal rank: every pair counts by degree, so its standard error
    is smaller than that of R@1, which counts a pair as all or nothing. Chosen is the simplest
    candidate that is within one standard error of the best (Breiman et al. 1984, on paired
    differences), in the order of METHODS and from the strongest of STRENGTHS to the weakest.

    By the same rule, from none to the strongest, the hub correction of that map is chosen, with
    pairs of other folds as its bank. The map is chosen without it, as descriptions are.
    """
    held_out = [
        one for fold in folds if (one := _HeldOut.of(moments, fold, folds, distractors)) is not None
    ]
    if len(held_out) < 2:
        return None
    maps = list(candidates or _candidates(METHODS))
    plain = _ranked([one.ranks(maps) for one in held_out])
    picked, top = _within_one_error(plain)
    shown = _best_of_methods(maps, plain, picked)
    corrected = {at: _ranked([one.corrected(maps[at]) for one in held_out]) for at in shown}
    rows = _rows([(*one, 0.0) for one in maps], plain)
    names = [(*maps[at], hub) for at in shown for hub in HUB_STRENGTHS[1:]]
    rows += _rows(names, np.concatenate(list(corrected.values())))
    of_picked = np.stack([plain[picked], *corrected[picked]])
    hub, _ = _within_one_error(of_picked)
    taken = (*maps[picked], HUB_STRENGTHS[hub])
    choices = tuple(
        replace(row, chosen=(row.method, row.strength, row.hub_strength) == taken) for row in rows
    )
    among = max(len(one.captions) for one in held_out)
    where = f"on {plain.shape[1]} held-out pairs in {len(held_out)} folds, among {among} captions"
    reason = _reason(rows[picked], rows[top], where)
    if hub:
        reason += f"; {of_picked[hub].mean():.3f} with hub correction {taken[2]:g}"
    return Selection(taken[0], taken[1], choices, reason, taken[2])


def _best_of_methods(maps: Sequence[Candidate], ranks: Matrix, picked: int) -> list[int]:
    """The rows that are tried with hub correction: the picked map, and the best of each method."""
    best: dict[Method, int] = {}
    for at, mean in enumerate(ranks.mean(axis=1).tolist()):
        method = maps[at][0]
        if method not in best or mean > ranks[best[method]].mean():
            best[method] = at
    return sorted({picked, *best.values()})


def _ranked(parts: Sequence[Matrix]) -> Matrix:
    return np.concatenate(parts, axis=1)


def _candidates(methods: Sequence[Method]) -> Iterator[Candidate]:
    for method in METHODS:
        if method in methods:
            strengths = STRENGTHS if method in REGULARISED else (None,)
            yield from ((method, strength) for strength in strengths)


class _HeldOut:
    """A fold's pairs, what they are ranked among and the bank that tells hubs, without its map.

    Rows of `pictures` and `captions`, in the eigenbasis of the other pairs: first `count` that
    are held out, then `bank` pairs of other folds, then captions of no picture.
    """

    @classmethod
    def of(
        cls,
        moments: PairMoments,
        fold: Fold,
        folds: Sequence[Fold],
        distractors: Vectors | None,
    ) -> _HeldOut | None:
        """None where the fold cannot be held out."""
        if len(fold.images) != len(fold.captions):
            raise AlignmentError(
                f"a fold holds {len(fold.images)} images and {len(fold.captions)} captions; "
                "give pairs"
            )
        train = moments - fold.moments
        if not len(fold.images) or not train.varied():
            return None
        share = max(1, OTHERS // max(1, len(folds) - 1))
        others = [other for other in folds if other is not fold]
        pictures = [fold.images, *(other.images[:share] for other in others)]
        captions = [fold.captions, *(other.captions[:share] for other in others)]
        bank = sum(map(len, pictures[1:]))
        if distractors is not None:
            captions.append(as_rows(distractors, moments.dim, "distractors"))
        return cls(Spectrum(train), len(fold.images), bank, pictures, captions)

    def __init__(
        self,
        spectrum: Spectrum,
        count: int,
        bank: int,
        pictures: Sequence[Vectors],
        captions: Sequence[Vectors],
    ) -> None:
        self._spectrum, self._count, self._bank = spectrum, count, bank
        x = _together(pictures, spectrum.dim, "images")
        t = _together(captions, spectrum.dim, "captions")
        # float32 from here: half the time, and cosines are compared with a tolerance.
        self._raw = x.astype(np.float32), t.astype(np.float32)
        self.pictures = ((x - spectrum.mean_image) @ spectrum.basis).astype(np.float32)
        self.captions = unit((t - spectrum.mean_text) @ spectrum.basis).astype(np.float32)

    def ranks(self, maps: Sequence[Candidate]) -> Matrix:
        """Reciprocal ranks (maps, count)."""
        return np.stack([reciprocal_ranks(*[self._cosines(one, self._count)] * 2) for one in maps])

    def corrected(self, candidate: Candidate) -> Matrix:
        """Reciprocal ranks (strengths above 0, count) of a map at each hub correction."""
        cosines = self._cosines(candidate, None)
        count, bank = self._count, self._bank
        held_out = cosines[:count]
        if not bank:
            return np.stack([reciprocal_ranks(held_out, held_out)] * len(HUB_STRENGTHS[1:]))
        of_pictures = nearest_mean(held_out[:, count : count + bank])[:, None]
        told = cosines[count:].T.copy()
        own = np.arange(bank)
        told[count + own, own] = -np.inf  # what its own picture says of a caption is no hubness
        of_captions = nearest_mean(told)
        return np.stack(
            [
                reciprocal_ranks(held_out - hub * of_captions, held_out - hub * of_pictures)
                for hub in HUB_STRENGTHS[1:]
            ]
        )

    def _cosines(self, candidate: Candidate, count: int | None) -> NDArray[np.floating]:
        """Of the first `count` pictures under a map with all captions."""
        method, strength = candidate
        if method == "raw":
            images, texts = self._raw
            return images[:count] @ texts.T
        mapped: NDArray[np.floating] = self.pictures[:count]
        if method not in UNLEARNED:
            mapped = self._spectrum.apply(mapped, method, strength)
        return unit(mapped) @ self.captions.T


def _together(parts: Sequence[Vectors], dim: int, name: str) -> Matrix:
    return np.concatenate([unit_rows(as_rows(part, dim, name), name) for part in parts])


def reciprocal_ranks(
    to_captions: NDArray[np.floating], to_pictures: NDArray[np.floating]
) -> Matrix:
    """The mean of 1/rank of the partner in its row and in its column, (m,), of scores (m, p).

    Row i's partner is in column i. Among equals the partner stands in the middle: a map that
    sends all to one point earns nothing by it.
    """
    m = len(to_captions)
    result = np.zeros(m)
    for scores in (to_captions, to_pictures[:, :m].T):
        own = np.diag(scores)[:, None]
        ahead = (scores > own + _TIE).sum(axis=1)
        level = (np.abs(scores - own) <= _TIE).sum(axis=1)
        result += 0.5 / (ahead + (level + 1) / 2)
    return result


def _within_one_error(ranks: Matrix) -> tuple[int, int]:
    """The first row that is within one standard error of the best, and the best."""
    best = int(ranks.mean(axis=1).argmax())
    differences, errors = _held_to(ranks, best)
    # Where one pair alone differs both are equal, but for rounding.
    within = differences <= errors * (1 + 1e-9)
    return int(within.argmax()), best


def _held_to(ranks: Matrix, best: int) -> tuple[Matrix, Matrix]:
    """How far each row lies below that one, and the standard error of the paired difference."""
    gaps = ranks[best] - ranks
    return gaps.mean(axis=1), gaps.std(axis=1, ddof=1) / np.sqrt(ranks.shape[1])


def _rows(candidates: Sequence[tuple[Method, float | None, float]], ranks: Matrix) -> list[Choice]:
    """Rows of the table, held to the best of them."""
    means = ranks.mean(axis=1)
    differences, errors = _held_to(ranks, int(means.argmax()))
    return [
        Choice(
            method,
            strength,
            float(mean),
            float(difference),
            float(error),
            held_out=ranks.shape[1],
            hub_strength=hub,
        )
        for (method, strength, hub), mean, difference, error in zip(
            candidates, means, differences, errors, strict=True
        )
    ]


def _reason(pick: Choice, best: Choice, where: str) -> str:
    said = f"{_name(pick)}: mean reciprocal rank {pick.score:.3f} {where}"
    if pick == best:
        return f"{said}, the best of all that were tried"
    return (
        f"{said}; the best, {_name(best)}, has {best.score:.3f}, which is "
        f"within one standard error ({pick.standard_error:.3f}), and the simpler map is taken"
    )


def _name(choice: Choice) -> str:
    return choice.method + ("" if choice.strength is None else f" (strength {choice.strength:g})")
