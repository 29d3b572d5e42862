"""Several maps: one for each cluster of pictures, shrunk to the map of all of them.

A cluster's map is fitted on its own moments plus the moments of all pairs, scaled down to
count as `prior` pairs. Moments add, so this costs no further look at the data. With few
pairs in a cluster its map is the map of all; with many it goes its own way. Captions lie
where the one map of all puts them, so that one index serves all clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from engine.alignment.alignment import Alignment
from engine.alignment.closed_form import Method
from engine.alignment.moments import PairMoments, as_rows, unit_rows
from engine.errors import InvalidInput
from engine.tensorfile import Matrix
from engine.types import Vectors


@dataclass(frozen=True)
class LocalMap:
    """The map of one cluster: picture x goes to unit((x - mean) matrix + offset).

    `offset` is how far the cluster's mean caption lies from the mean of all captions.
    """

    mean: Matrix
    matrix: Matrix | None
    offset: Matrix


class LocalMaps:
    """Maps each picture by its cluster's map, and captions by the map of all."""

    def __init__(self, whole: Alignment, centres: Matrix, local: Sequence[LocalMap]) -> None:
        """Take one map for each row of `centres` (clusters, dim)."""
        self.whole = whole
        self._centres = centres
        self._local = local

    @classmethod
    def fit(
        cls, whole: Alignment, parts: Sequence[PairMoments], centres: Matrix, *, prior: float
    ) -> LocalMaps:
        """Fit by the method and strength of `whole` on the moments of each cluster.

        The moments of all pairs count as `prior` pairs in each. Raises InvalidInput for a
        prior of less than 2, and for a whole map that is raw, which has nothing to shrink to.
        """
        if prior < 2:
            raise InvalidInput(f"the prior counts as {prior} pairs; it must be at least 2")
        if whole.method == "raw":
            raise InvalidInput("clusters need a map that is centred or learned; raw is neither")
        everything = sum(parts[1:], parts[0])
        shared = scaled(everything, prior / everything.n)
        local = [_local(part + shared, whole) for part in parts]
        return cls(whole, centres, local)

    @property
    def method(self) -> Method:
        """The method of the map of all."""
        return self.whole.method

    @property
    def hub_strength(self) -> float:
        """That of the map of all."""
        return self.whole.hub_strength

    def map_images(self, images: ArrayLike) -> Vectors:
        """Map picture vectors (n, dim) to float32 unit rows, each by its nearest centre's map."""
        rows = unit_rows(as_rows(images, self.whole.dim, "images"), "images")
        clusters = nearest_centre(rows, self._centres)
        result = np.zeros(rows.shape)
        for cluster, local in enumerate(self._local):
            own = clusters == cluster
            moved = rows[own] - local.mean
            if local.matrix is not None:
                moved = moved @ local.matrix
            result[own] = moved + local.offset
        return unit_rows(result, "images").astype(np.float32)

    def map_texts(self, texts: ArrayLike) -> Vectors:
        """Map caption vectors (n, dim) to float32 unit rows."""
        return self.whole.map_texts(texts)


def _local(moments: PairMoments, whole: Alignment) -> LocalMap:
    fitted = Alignment.fit(moments, whole.method, strength=whole.strength)
    if fitted.mean_image is None:
        raise InvalidInput("the moments of a cluster hold no pictures; give pairs")
    return LocalMap(fitted.mean_image, fitted.matrix, fitted.mean_text - whole.mean_text)


def scaled(moments: PairMoments, factor: float) -> PairMoments:
    """The same moments, as if of `factor` times as many pairs."""
    result = PairMoments(moments.dim)
    result.n = factor * moments.n
    result.image_sum = factor * moments.image_sum
    result.text_sum = factor * moments.text_sum
    result.image_image = factor * moments.image_image
    result.image_text = factor * moments.image_text
    return result


def cluster_centres(images: Vectors, clusters: int, *, seed: int = 0) -> Matrix:
    """The centres (clusters, dim) of picture vectors (n, dim), by k-means with k-means++ start.

    Raises InvalidInput for more clusters than pictures.
    """
    from scipy.cluster.vq import kmeans2

    if not 1 <= clusters <= len(images):
        raise InvalidInput(
            f"{clusters} clusters of {len(images)} pictures; ask for 1 to {len(images)}"
        )
    rows = np.asarray(images, np.float64)
    centres, _ = kmeans2(rows, clusters, minit="++", rng=seed, missing="raise")
    return np.asarray(centres, np.float64)


def nearest_centre(images: ArrayLike, centres: Matrix) -> Matrix:
    """For each picture vector (n, dim) the row of the centre nearest by distance, (n,) int."""
    rows = np.asarray(images, np.float64)
    return np.asarray(((centres**2).sum(axis=1) - 2 * rows @ centres.T).argmin(axis=1))
