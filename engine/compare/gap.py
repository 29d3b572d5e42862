"""The modality gap of a collection, before and after its map: what it looks like, its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.alignment.alignment import Alignment
from engine.sampling import Hashes
from engine.tensorfile import Matrix
from engine.types import Space, Vector, Vectors

BINS = 60
"""Bars of a histogram of cosines."""

CLEAR = 0.05
"""How likely so many more wins may be by chance (sign test) to call one side the winner."""

TELLING = 12
"""Pictures that are named because the map changes their answer."""

_TIE = 1e-6
"""Cosines in float32 that differ by less are the same."""


@dataclass(frozen=True, eq=False)
class GapSample:
    """Pictures and captions that the gap is measured on, as raw unit vectors.

    `images` (n, dim); `captions` (m, dim), of which caption j belongs to picture `owners[j]`,
    -1: to none of them. `fitted`: the map was fitted on these pairs, which favours it.
    `ids` (n) are those of the pictures, where they have any, `numbers` (n,) those by which a bank
    knows them (`engine.alignment.hubs`).
    """

    images: Vectors
    captions: Vectors
    owners: NDArray[np.int64]
    fitted: bool
    ids: Sequence[str] = ()
    numbers: Hashes | None = None


@dataclass(frozen=True, eq=False)
class Side:
    """The sample in one space.

    `images` (n, 2) and `captions` (p, 2) are the clouds: pictures and a caption of each (or
    as many others, where they have none) on `axes` (2, dim) around `centre` (dim,), which lies
    halfway between their means. Both sides are drawn on the same axes: the first is the direction
    of the gap, from the mean raw picture to the mean raw caption, the second the first principal
    component of the raw clouds across it. `distance` is that between the means of the two clouds in
    all dimensions. `matched` and `unmatched` are mean cosines of pictures with their own and
    with other captions, `matched_shares` and `unmatched_shares` (BINS,) their distribution,
    `own_first` the share of pictures to which a caption of their own is the nearest, in the mapped
    space with hubs taken off. What needs pairs is NaN without any.
    """

    images: Matrix
    captions: Matrix
    centre: Matrix
    axes: Matrix
    distance: float
    matched: float
    unmatched: float
    matched_shares: Matrix
    unmatched_shares: Matrix
    own_first: float

    def project(self, vector: Vector) -> tuple[float, float]:
        """Where a vector (dim,) of this space lies in the picture."""
        x, y = self.axes @ (vector - self.centre)
        return float(x), float(y)


@dataclass(frozen=True, eq=False)
class Gap:
    """The gap before (`raw`) and after (`mapped`) the map.

    `edges` (BINS + 1,) are those of the histograms of both. `pictures`, `own` and `others`
    count what was measured on: pictures, their captions, and further captions. Of the
    `judged` pictures, those that have captions, `raw_wins` and `mapped_wins` count those
    whose own stand higher on that side. `telling` are ids of pictures whose answer the map
    changes most, for better or worse, the most changed first: one side puts a caption of their
    own first, the other one does not.
    """

    raw: Side
    mapped: Side
    edges: Matrix
    pictures: int
    own: int
    others: int
    fitted: bool
    judged: int
    raw_wins: int
    mapped_wins: int
    telling: tuple[str, ...] = ()

    def side(self, space: Space) -> Side:
        """One of the two."""
        return self.raw if space == "raw" else self.mapped

    @property
    def winner(self) -> Space | None:
        """The side with clearly more wins; None: the difference may be chance."""
        if sign_test(self.raw_wins, self.mapped_wins) >= CLEAR:
            return None
        return "raw" if self.raw_wins > self.mapped_wins else "mapped"


def sign_test(a: int, b: int) -> float:
    """How likely a split at least as uneven as a to b is by chance: two-sided, 0 to 1."""
    from scipy.stats import binomtest  # takes a quarter of a second to import

    return float(binomtest(a, a + b).pvalue) if a + b else 1.0


def measure(sample: GapSample, alignment: Alignment) -> Gap:
    """Measure the gap on a sample that has pictures and captions."""
    rows: dict[Space, tuple[Vectors, Vectors]] = {
        "raw": (sample.images, sample.captions),
        "mapped": (alignment.map_images(sample.images), alignment.map_texts(sample.captions)),
    }
    cosines = {space: images @ captions.T for space, (images, captions) in rows.items()}
    low = min(float(found.min()) for found in cosines.values())
    high = max(float(found.max()) for found in cosines.values())
    edges = np.linspace(low, max(high, low + 1e-6), BINS + 1)
    own = sample.owners == np.arange(len(sample.images))[:, None]
    firsts = own.argmax(axis=1)[own.any(axis=1)] if own.any() else np.arange(len(sample.captions))
    drawn = firsts[: len(sample.images)]
    axes = gap_axes(sample.images, sample.captions[drawn])
    ranks = {space: _own_ranks(found, own) for space, found in cosines.items()}
    if alignment.hub_strength:
        ranks["mapped"] = _own_ranks(cosines["mapped"] - _taken_off(sample, alignment), own)
    sides = {
        space: _side(*rows[space], cosines[space], own, ranks[space], edges, drawn, axes)
        for space in rows
    }
    return Gap(
        raw=sides["raw"],
        mapped=sides["mapped"],
        edges=edges,
        pictures=len(sample.images),
        own=int(own.sum()),
        others=int((sample.owners < 0).sum()),
        fitted=sample.fitted,
        judged=len(ranks["raw"]),
        raw_wins=int((ranks["raw"] < ranks["mapped"]).sum()),
        mapped_wins=int((ranks["mapped"] < ranks["raw"]).sum()),
        telling=_telling(sample.ids, own, ranks),
    )


def _taken_off(sample: GapSample, alignment: Alignment) -> Vectors:
    """What is taken off the cosines of captions, (m,)."""
    numbers = np.zeros(len(sample.images), np.uint64) if sample.numbers is None else sample.numbers
    owners = np.where(sample.owners < 0, np.uint64(0), numbers[sample.owners])
    captions, hubs = alignment.map_texts(sample.captions), alignment.hubs
    near = hubs.of_captions(captions, owners) if hubs else None
    return np.zeros(len(captions), np.float32) if near is None else alignment.hub_strength * near


def _side(
    images: Vectors,
    captions: Vectors,
    cosines: Vectors,
    own: NDArray[np.bool_],
    ranks: NDArray[np.int64],
    edges: Matrix,
    drawn: NDArray[np.int64],
    axes: Matrix,
) -> Side:
    paired = own.any()
    shown = captions[drawn]
    means = images.mean(axis=0, dtype=np.float64), shown.mean(axis=0, dtype=np.float64)
    centre = (means[0] + means[1]) / 2
    return Side(
        images=(images - centre) @ axes.T,
        captions=(shown - centre) @ axes.T,
        centre=centre,
        axes=axes,
        distance=float(np.linalg.norm(means[0] - means[1])),
        matched=float(cosines[own].mean()) if paired else np.nan,
        unmatched=float(cosines[~own].mean()) if not own.all() else np.nan,
        matched_shares=_shares(cosines[own], edges),
        unmatched_shares=_shares(cosines[~own], edges),
        own_first=float((ranks == 1).mean()) if paired else np.nan,
    )


def gap_axes(images: Vectors, captions: Vectors) -> Matrix:
    """Two axes, (2, dim) orthonormal: along the gap, and the widest spread across it.

    Captions lie on the right of pictures; the second axis points to its largest component.
    """
    between = captions.mean(axis=0, dtype=np.float64) - images.mean(axis=0, dtype=np.float64)
    length = float(np.linalg.norm(between))
    both = np.concatenate([images - images.mean(axis=0), captions - captions.mean(axis=0)])
    along = between / length if length > _TIE else _widest(both)
    across = _widest(both - np.outer(both @ along, along))
    across -= (across @ along) * along
    across /= max(float(np.linalg.norm(across)), _TIE)
    return np.stack([along, across])


def _widest(rows: NDArray[np.floating]) -> Matrix:
    """The direction in which rows spread most, (dim,)."""
    spread = rows.astype(np.float64)
    _, vectors = np.linalg.eigh(spread.T @ spread)
    widest: Matrix = vectors[:, -1]
    return widest * (-1.0 if widest[np.abs(widest).argmax()] < 0 else 1.0)


def _telling(
    ids: Sequence[str], own: NDArray[np.bool_], ranks: Mapping[Space, NDArray[np.int64]]
) -> tuple[str, ...]:
    """Pictures with a caption of their own first on one side alone, the most changed first."""
    if not ids:
        return ()
    paired = np.flatnonzero(own.any(axis=1))
    raw, mapped = ranks["raw"], ranks["mapped"]
    farther = np.maximum(raw, mapped)
    order = np.argsort(-farther, kind="stable")
    changed = [at for at in order if (raw[at] == 1) != (mapped[at] == 1)]
    return tuple(ids[paired[at]] for at in changed[:TELLING])


def _shares(cosines: Vectors, edges: Matrix) -> Matrix:
    counts, _ = np.histogram(cosines, edges)
    return counts / max(1, len(cosines))


def _own_ranks(cosines: Vectors, own: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each picture that has captions, the rank of its best one, from 1: (pictures,)."""
    paired = own.any(axis=1)
    best = np.where(own, cosines, -np.inf).max(axis=1)[paired]
    ahead = (cosines[paired] > best[:, None] + _TIE).sum(axis=1)
    return np.asarray(ahead + 1, np.int64)
