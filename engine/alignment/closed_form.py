"""The closed forms: linear maps W, x W ~ t, computed from the moments of pairs.

With centred second moments S_xx and S_xt (d x d), l = strength * tr(S_xx) / d and
s = tr(S_xt) / tr(S_xx):

    ols         W = pinv(S_xx) S_xt
    ridge       W = (S_xx + l I)^-1 S_xt              shrinks W towards 0
    shrink      W = (S_xx + l I)^-1 (S_xt + l s I)    shrinks W towards s I
    procrustes  W = U V' of S_xt = U D V'             the best orthogonal W (Schönemann 1966)
    raw, centred  W = I

`strength` counts in units of the mean eigenvalue of S_xx, so it means the same for any
dimension and number of pairs; l is the `alpha` of scikit-learn's Ridge on centred rows.
As shrink gets stronger it goes from ols to centred (times s, which unit length removes).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from engine.alignment.moments import PairMoments
from engine.errors import AlignmentError
from engine.tensorfile import Matrix

Method = Literal["raw", "centred", "shrink", "ridge", "procrustes", "ols"]
Rows = NDArray[np.floating]

METHODS: tuple[Method, ...] = get_args(Method)
"""All methods, the simplest first: the order in which `auto` prefers them."""

AnyMethod = Literal["auto", Method]
"""What can be asked for: a method, or the choice among them on held-out pairs."""

REGULARISED: frozenset[Method] = frozenset({"shrink", "ridge"})
UNLEARNED: frozenset[Method] = frozenset({"raw", "centred"})

CUTOFF = 1e-10
"""`ols` leaves out directions whose eigenvalue of S_xx is below this share of the largest:
a spread below 1e-5 of the largest is not resolved by float32 embeddings."""

_TOWARDS_IDENTITY = 1e-10
"""Fewer pairs than dimensions leave procrustes free in some directions. This share of S_xt's
norm, far below what moves the others, makes it the one closest to the identity there."""


class Spectrum:
    """S_xx and S_xt in the eigenbasis of S_xx: decomposed once, solved for any strength.

    There (rows x V, V the eigenvectors) another strength costs no new decomposition.
    Raises AlignmentError if there are fewer than 2 pairs or all pictures are the same.
    """

    def __init__(self, moments: PairMoments) -> None:
        self.dim = moments.dim
        self.mean_image, self.mean_text = moments.means()
        s_xx, s_xt = moments.scatter()
        if not moments.varied():
            raise AlignmentError(
                f"the pictures of all {moments.n:g} pairs are the same, so no map can be learned; "
                "add different pictures, or use the method 'centred' or 'raw'"
            )
        spread = float(np.trace(s_xx))
        values, self.basis = np.linalg.eigh(s_xx)
        self._values = np.maximum(values, 0.0)
        self._cross = self.basis.T @ s_xt @ self.basis
        self._mean_value = spread / moments.dim
        self.gain = float(np.trace(s_xt)) / spread

    def apply(self, rows: Rows, method: Method, strength: float | None) -> Rows:
        """Map centred rows x V (n, d) by a learned method, in their own precision.

        `strength` is for ridge and shrink only.
        """
        if method == "procrustes":
            return rows @ self._rotation().astype(rows.dtype)
        if method == "ols":
            kept = self._values > CUTOFF * self._values[-1]
            inverse = np.divide(1.0, self._values, out=np.zeros(self.dim), where=kept)
            return self._through_cross(rows, inverse)
        penalty = checked_strength(method, strength) * self._mean_value
        inverse = 1.0 / (self._values + penalty)
        result = self._through_cross(rows, inverse)
        if method == "shrink":
            result += rows * (penalty * self.gain * inverse).astype(rows.dtype)
        return result

    def matrix(self, method: Method, strength: float | None) -> Matrix:
        """W (d, d) for a learned method; `strength` for ridge and shrink only."""
        return np.asarray(self.apply(self.basis, method, strength) @ self.basis.T)

    def _through_cross(self, rows: Rows, inverse: Matrix) -> Rows:
        filtered = rows * inverse.astype(rows.dtype)
        return np.asarray(filtered @ self._cross.astype(rows.dtype))

    def _rotation(self) -> Matrix:
        towards_identity = _TOWARDS_IDENTITY * np.linalg.norm(self._cross) * np.eye(self.dim)
        left, _, right = np.linalg.svd(self._cross + towards_identity)
        return np.asarray(left @ right)


def checked_strength(method: Method, strength: float | None) -> float:
    """The strength of ridge or shrink; raises AlignmentError unless finite and above 0."""
    if strength is None or not (np.isfinite(strength) and strength > 0):
        raise AlignmentError(
            f"{method} needs a finite strength above 0, not {strength}; "
            "for no shrinkage use the method 'ols'"
        )
    return float(strength)


def default_strength(method: Method, n: float, dim: int) -> float | None:
    """The strength used where it is neither given nor chosen on held-out pairs.

    dim/n for ridge and 100 dim/n for shrink, so l = 1 or 100 times the mean squared distance
    of a picture from the mean: it stays while the evidence grows with n, and the map goes
    to ols. The two factors are the best decades on 400 COCO pairs of CLIP ViT-B/16.
    """
    if method not in REGULARISED:
        return None
    return (100.0 if method == "shrink" else 1.0) * dim / n
