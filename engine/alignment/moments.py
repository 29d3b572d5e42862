"""What a map is fitted from: the first and second moments of pairs, which add and subtract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.errors import AlignmentError
from engine.tensorfile import Matrix, read_tensors, write_tensors
from engine.vectors import unit

Numbers = NDArray[np.uint64]

_KIND = "mrag-pair-moments/1"
_BLOCK_BYTES = 2**25
_NO_SPREAD = 1e-9
"""A mean squared distance from the mean picture that is rounding of float32 vectors."""
_SHORT, _LONG = 1e-15, 1e15
"""Lengths between which float32 can hold the squares."""
MEAN_SLACK = 1e-2
"""How far above 1 the norm of a mean of unit vectors may lie: float16 storage rounds."""


class PairMoments:
    """Total weight, sums and uncentred second moments of (picture, caption) pairs.

    float64, O(dim^2) memory for any number of pairs. Moments of separate parts add to the
    moments of the whole; subtracting takes a part out again. `pictures` (p,) are the numbers
    (`engine.identity.content_number`) of the pictures that they are of, ascending, as far as
    these were given: so a map that was fitted on them can be told to have seen a picture.

    Pictures as they are stored, in float16, are multiplied with captions in float32, block by
    block, and the blocks summed in float64: that takes half the time, and rounds far less than
    storing did. Pictures are multiplied with pictures in float64 always, as maps divide by that
    product: its least eigenvalues, below the rounding of float32, tell which directions there are.
    """

    def __init__(self, dim: int) -> None:
        if dim < 1:
            raise AlignmentError(f"the dimension must be at least 1, not {dim}")
        self.dim = dim
        self.n = 0.0
        self.image_sum: Matrix = np.zeros(dim)
        self.text_sum: Matrix = np.zeros(dim)
        self.image_image: Matrix = np.zeros((dim, dim))
        self.image_text: Matrix = np.zeros((dim, dim))
        self._pictures: list[Numbers] = []

    def update(
        self,
        images: ArrayLike,
        captions: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        pictures: Numbers | None = None,
    ) -> None:
        """Add pairs: row i of `images` with row i of `captions`, both (rows, dim).

        Picture rows are made unit length. Without `weights` each caption row is one caption
        and is made unit length too. With `weights` caption row i is the mean of the UNIT
        vectors of a picture's captions and `weights[i]` is their number; a mean is taken as
        it is, since its length counts. Both ways give the same moments.

        A pair with a zero row has no direction: it is left out and not counted. All or
        nothing: raises AlignmentError, and adds no pair, on non-finite rows (named), shapes
        that do not fit, negative weights, or means longer than 1.
        """
        x, t = as_rows(images, self.dim, "images"), as_rows(captions, self.dim, "captions")
        if len(x) != len(t):
            raise AlignmentError(
                f"{len(x)} image rows cannot pair with {len(t)} caption rows; "
                "give one caption row for each image row"
            )
        w = np.ones(len(x)) if weights is None else _checked_weights(weights, len(x))
        precision = np.float32 if x.dtype == np.float16 else np.float64
        part = PairMoments(self.dim)  # so that nothing is added where a later row is refused
        for block in blocks(len(x), 2 * self.dim):
            x_rows, x_norms = _measured(x, block, "images", np.float64)
            t_rows, t_norms = _measured(t, block, "captions", precision)
            means = weights is not None
            t_scale = _checked_means(t_norms, block.start) if means else inverse(t_norms)
            weight = np.where((x_norms > 0) & (t_norms > 0), w[block], 0.0)
            # The square root on both sides lets BLAS use the symmetric product: half the work.
            root = np.sqrt(weight)
            x_rows *= (inverse(x_norms) * root)[:, None]
            t_rows *= (t_scale * root).astype(precision)[:, None]
            part.n += float(weight.sum())
            part.image_sum += root @ x_rows
            part.text_sum += root @ t_rows
            part.image_image += x_rows.T @ x_rows
            part.image_text += x_rows.astype(precision, copy=False).T @ t_rows
        self.n += part.n
        self.image_sum += part.image_sum
        self.text_sum += part.text_sum
        self.image_image += part.image_image
        self.image_text += part.image_text
        if pictures is not None:
            self._pictures.append(pictures)

    @property
    def pictures(self) -> Numbers:
        """The numbers of the pictures, ascending: (p,)."""
        self._pictures = [np.unique(np.concatenate([np.empty(0, np.uint64), *self._pictures]))]
        return self._pictures[0]

    def __add__(self, other: PairMoments) -> PairMoments:
        """The moments of both sets of pairs together."""
        return self._combined(other, 1.0)

    def __sub__(self, other: PairMoments) -> PairMoments:
        """The moments without the pairs of `other`, which must be among them."""
        if other.n > self.n * (1 + 1e-12):
            raise AlignmentError(
                f"cannot take {other.n:g} pairs out of {self.n:g}; "
                "subtract only moments that were added before"
            )
        return self._combined(other, -1.0)

    def _combined(self, other: PairMoments, sign: float) -> PairMoments:
        if self.dim != other.dim:
            raise AlignmentError(
                f"moments of dimension {self.dim} and {other.dim} cannot be combined; "
                "use vectors of one encoder"
            )
        result = PairMoments(self.dim)
        result.n = self.n + sign * other.n
        result.image_sum = self.image_sum + sign * other.image_sum
        result.text_sum = self.text_sum + sign * other.text_sum
        result.image_image = self.image_image + sign * other.image_image
        result.image_text = self.image_text + sign * other.image_text
        joined = np.union1d if sign > 0 else np.setdiff1d
        result._pictures = [joined(self.pictures, other.pictures)]
        return result

    def means(self) -> tuple[Matrix, Matrix]:
        """The mean picture vector and the mean caption vector; raises AlignmentError if n < 2."""
        if self.n < 2:
            raise AlignmentError(f"a map needs at least 2 pairs, there are {self.n:g}; add pairs")
        return self.image_sum / self.n, self.text_sum / self.n

    def varied(self) -> bool:
        """Whether there are 2 pairs or more and their pictures differ beyond rounding."""
        if self.n < 2:
            return False
        mean_image, _ = self.means()
        return float(np.trace(self.image_image) / self.n - mean_image @ mean_image) > _NO_SPREAD

    def scatter(self) -> tuple[Matrix, Matrix]:
        """The centred second moments S_xx and S_xt (sums, not divided by n), (dim, dim) each."""
        mean_image, mean_text = self.means()
        s_xx = self.image_image - self.n * np.outer(mean_image, mean_image)
        s_xt = self.image_text - self.n * np.outer(mean_image, mean_text)
        return (s_xx + s_xx.T) / 2, s_xt

    def save(self, path: Path) -> None:
        """Write a safetensors file, whole or not at all."""
        tensors = {
            "n": np.array([self.n]),
            "image_sum": self.image_sum,
            "text_sum": self.text_sum,
            "image_image": self.image_image,
            "image_text": self.image_text,
            "pictures": self.pictures,
        }
        write_tensors(path, _KIND, tensors, {})

    @classmethod
    def load(cls, path: Path) -> PairMoments:
        """Read what `save` wrote; raises AlignmentError for any other file."""
        tensors, _ = read_tensors(path, _KIND, fit_again(path))
        try:
            moments = cls(len(tensors["image_sum"]))
            moments.n = float(tensors["n"][0])
            for name in ("image_sum", "text_sum", "image_image", "image_text"):
                if tensors[name].shape != getattr(moments, name).shape:
                    raise AlignmentError(
                        f"tensor {name!r} of {path} has shape {tensors[name].shape}; "
                        f"{fit_again(path)}"
                    )
                setattr(moments, name, tensors[name])
            if "pictures" in tensors:
                moments._pictures = [tensors["pictures"].astype(np.uint64, copy=False)]
        except (KeyError, IndexError) as error:
            raise AlignmentError(f"{path} lacks the tensor {error}; {fit_again(path)}") from error
        return moments


def as_rows(vectors: ArrayLike, dim: int, name: str) -> NDArray[np.floating]:
    """Check that `vectors` are rows of `dim` numbers; raises AlignmentError naming both."""
    rows = np.asarray(vectors)
    if rows.dtype.kind != "f":
        rows = rows.astype(np.float64)
    if rows.ndim != 2:
        raise AlignmentError(f"{name} must be rows (n, {dim}), not an array of shape {rows.shape}")
    if rows.shape[1] != dim:
        raise AlignmentError(
            f"{name} have dimension {rows.shape[1]}, the map has dimension {dim}; "
            "use vectors of the encoder it was fitted for"
        )
    return rows


def row_norms(rows: NDArray[np.floating], name: str) -> Matrix:
    """Euclidean norms (n,) in float64; raises AlignmentError naming a row that is not finite."""
    norms = np.empty(len(rows))
    for block in blocks(len(rows), rows.shape[1]):
        part = rows[block].astype(np.float64, copy=False)
        norms[block] = np.sqrt(np.einsum("ij,ij->i", part, part))
    bad = np.flatnonzero(~np.isfinite(norms))
    if len(bad):
        raise AlignmentError(
            f"row {bad[0]} of {name} holds numbers that are not finite ({len(bad)} of "
            f"{len(rows)} rows do); embed these again or leave them out"
        )
    return norms


def _measured(
    rows: NDArray[np.floating], block: slice, name: str, precision: type[np.floating]
) -> tuple[NDArray[Any], Matrix]:
    """A copy of a block in this precision and its norms; raises as `row_norms` of all rows."""
    part: NDArray[Any] = rows[block].astype(precision)
    norms = np.sqrt(np.einsum("ij,ij->i", part, part)).astype(np.float64)
    # Of other lengths the squares may be out of the range of float32, or there is no length.
    if not ((norms > _SHORT) & (norms < _LONG)).all():
        norms = row_norms(part if np.isfinite(part).all() else rows, name)
    return part, norms


def unit_rows(rows: NDArray[np.floating], name: str) -> Matrix:
    """The rows in float64 at length 1; zero rows stay zero. Raises as `row_norms`."""
    row_norms(rows, name)
    return unit(rows.astype(np.float64, copy=False))


def blocks(n: int, dim: int) -> Iterator[slice]:
    """Slices of consecutive rows, about 32 MiB of float64 each."""
    size = max(256, _BLOCK_BYTES // (8 * dim))
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def inverse(norms: Matrix) -> Matrix:
    """1 / norms, and 0 where a norm is 0."""
    return np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)


def _checked_weights(weights: ArrayLike, rows: int) -> Matrix:
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (rows,):
        raise AlignmentError(
            f"weights have shape {w.shape}; give one weight for each of {rows} rows"
        )
    bad = np.flatnonzero(~(np.isfinite(w) & (w >= 0)))
    if len(bad):
        raise AlignmentError(
            f"weight {w[bad[0]]:g} of row {bad[0]} is not a caption count; give finite weights >= 0"
        )
    return w


def _checked_means(norms: Matrix, first: int) -> Matrix:
    """Scales of 1 for means of these norms, the rows from `first` on; refuses longer ones."""
    bad = np.flatnonzero(norms > 1 + MEAN_SLACK)
    if len(bad):
        raise AlignmentError(
            f"row {first + bad[0]} of captions has length {norms[bad[0]]:.4g}, but a mean of unit "
            "vectors has at most 1; make caption vectors unit length before taking their mean"
        )
    return np.ones_like(norms)


def fit_again(path: Path) -> str:
    """What mends a file that was fitted for a collection, whose folder has its name."""
    return f"fit it again with: mrag fit {path.absolute().parent.name}"
