"""A map that is there, moved on the side of the pictures towards a few pairs of one's own.

Where a collection's captions are a memory's, or of no picture, captions lie where the map at hand
puts them, and a few corrections cannot carry a map of their own. So captions stay, and pictures
learn. With W0, m0, t0 the map at hand and its means, and m, t the means of n pairs:

    a = n / (n + PRIOR_PAIRS)
    W = W0 A,  A = (S_zz + l I)^-1 (S_zt + l s I),  z = x W0     `shrink`, towards W0 itself
    mapped picture = unit((x - (1-a) m0 - a m) W + a (t - t0))

As n grows this is `shrink` on the pairs alone; the last term, what these captions have in common,
is folded into the mean of the pictures. How far to move, if at all, is told by held-out pairs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.alignment.alignment import Alignment, stamped
from engine.alignment.closed_form import Spectrum
from engine.alignment.cross_validation import Choice, reciprocal_ranks
from engine.alignment.moments import PairMoments
from engine.tensorfile import Matrix
from engine.types import Vectors
from engine.vectors import unit

FEWEST = 5
"""Pairs from which on it is tried: held-out pairs of fewer say nothing."""

PRIOR_PAIRS = 10
"""So many pairs count as much as the means of the map at hand; 10 to 30 were level."""

STRENGTHS = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1)
AMONG = 1000
"""Captions of no picture that are looked at, at most: an owner who corrects waits for this."""

FOLDS = 10
"""Pairs are held out in so many parts, or one by one where they are fewer."""


def moved(prior: Alignment, images: Vectors, captions: Vectors, distractors: Vectors) -> Alignment:
    """The map at hand, moved towards pairs, row i of `images` with row i of `captions`, (n, dim).

    Each candidate is made without the pairs that are held out, and ranks these among all captions
    of the pairs and the first of `distractors` (p, dim). The best is taken where it is better than
    the map at hand, else that stays. The sentence in `reason` says which.
    """
    if len(images) < FEWEST:
        return prior
    scores = _held_out(prior, images, captions, distractors[:AMONG])
    means = scores.mean(axis=1)
    best = int(means.argmax())  # of equals the first, which moves least
    made = move(prior, _moments(prior.dim, images, captions), STRENGTHS[best - 1]) if best else None
    if made is None:  # all pairs together may say nothing, though those of a fold did
        best = 0
    gaps = scores[best] - scores
    errors = gaps.std(axis=1, ddof=1) / np.sqrt(len(images))
    choices = tuple(
        Choice(
            "shrink" if at else prior.method,
            STRENGTHS[at - 1] if at else prior.strength,
            float(means[at]),
            float(gaps[at].mean()),
            float(errors[at]),
            at == best,
            held_out=len(images),
        )
        for at in range(len(means))
    )
    told = (
        f"mean reciprocal rank {means[best]:.3f} on {len(images)} held-out pairs of this "
        f"collection, among {len(captions) + len(distractors[:AMONG])} captions"
    )
    if made is None:
        reason = f"{prior.reason}; stays with {len(images)} pairs of this collection's own: {told}"
        return replace(prior, choices=choices, reason=reason)
    reason = (
        f"moved towards {len(images)} pairs of this collection's own (strength "
        f"{STRENGTHS[best - 1]:g}): {told}, {means[0]:.3f} before"
    )
    return stamped(replace(made, choices=choices, reason=reason))


def move(prior: Alignment, pairs: PairMoments, strength: float) -> Alignment | None:
    """The map at hand, moved towards the pairs at this strength; None where they say nothing."""
    if not pairs.varied():
        return None
    return _Moves(prior, pairs).at(strength)


class _Moves:
    """A map moved towards pairs: decomposed once, for any strength."""

    def __init__(self, prior: Alignment, pairs: PairMoments) -> None:
        self._prior = prior
        self._first = prior.matrix
        known = prior.mean_image
        if known is None or prior.method == "raw":
            known = np.zeros(prior.dim)
        self._spectrum = Spectrum(_carried(pairs, self._first))
        share = pairs.n / (pairs.n + PRIOR_PAIRS)
        image, text = pairs.means()
        self._mean = (1 - share) * known + share * image
        self._offset = share * (text - prior.text_origin)

    @property
    def _usable(self) -> bool:
        """Whether the pairs point the same way as the map at hand."""
        return self._spectrum.gain > 0

    def images(self, images: Vectors, strength: float) -> Vectors | None:
        """Pictures as the map at this strength has them, without making all of it."""
        if not self._usable:
            return None
        rows = unit(images.astype(np.float64)) - self._mean
        carried = rows if self._first is None else rows @ self._first
        moved_rows = self._spectrum.apply(carried @ self._spectrum.basis, "shrink", strength)
        mapped = moved_rows @ self._spectrum.basis.T + self._offset
        return unit(mapped.astype(np.float32))

    def at(self, strength: float) -> Alignment | None:
        """The map at this strength; None where the pairs point away from the map at hand."""
        if not self._usable:
            return None
        matrix = self._spectrum.matrix("shrink", strength)
        if self._first is not None:
            matrix = self._first @ matrix
        try:
            before = np.linalg.solve(matrix.T, self._offset)
        except np.linalg.LinAlgError:
            return None
        if not np.allclose(before @ matrix, self._offset, atol=1e-6):
            return None  # directions that the map at hand has given up cannot be used again
        return replace(
            self._prior,
            method="shrink",
            strength=strength,
            mean_image=self._mean - before,
            mean_text=self._prior.text_origin,
            matrix=matrix,
        )


def _held_out(prior: Alignment, images: Vectors, captions: Vectors, distractors: Vectors) -> Matrix:
    """Reciprocal ranks (1 + strengths, n): of the map at hand, and of it moved."""
    texts = prior.map_texts(np.concatenate([captions, distractors]))
    scores = np.empty((1 + len(STRENGTHS), len(images)))
    for rows in np.array_split(np.arange(len(images)), min(len(images), FOLDS)):
        others = np.setdiff1d(np.arange(len(images)), rows)
        among = np.concatenate([texts[rows], np.delete(texts, rows, axis=0)])
        cosines = prior.map_images(images[rows]) @ among.T
        known = reciprocal_ranks(cosines, cosines)
        scores[0, rows] = known
        pairs = _moments(prior.dim, images[others], captions[others])
        moves = _Moves(prior, pairs) if pairs.varied() else None
        for at, strength in enumerate(STRENGTHS, 1):
            mapped = moves.images(images[rows], strength) if moves else None
            if mapped is None:
                scores[at, rows] = known
                continue
            cosines = mapped @ among.T
            scores[at, rows] = reciprocal_ranks(cosines, cosines)
    return scores


def _moments(dim: int, images: Vectors, captions: Vectors) -> PairMoments:
    moments = PairMoments(dim)
    moments.update(images, captions)
    return moments


def _carried(pairs: PairMoments, matrix: Matrix | None) -> PairMoments:
    """The moments of the pairs with their pictures times a matrix."""
    if matrix is None:
        return pairs
    carried = PairMoments(pairs.dim)
    carried.n, carried.text_sum = pairs.n, pairs.text_sum
    carried.image_sum = pairs.image_sum @ matrix
    carried.image_image = matrix.T @ pairs.image_image @ matrix
    carried.image_text = matrix.T @ pairs.image_text
    return carried
