"""The map across the modality gap: fitted in closed form, applied to pictures and captions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.alignment.closed_form import METHODS, UNLEARNED, Method, Spectrum
from engine.alignment.cross_validation import Choice, Fold, decide
from engine.alignment.hubs import Bank, Hubs
from engine.alignment.moments import (
    MEAN_SLACK,
    PairMoments,
    as_rows,
    blocks,
    fit_again,
    inverse,
    row_norms,
    unit_rows,
)
from engine.errors import AlignmentError
from engine.tensorfile import Matrix, read_tensors, write_tensors
from engine.types import Vectors

__all__ = ["Alignment", "Choice", "Fold", "GapMap", "Method", "PairMoments"]

TOLERANCE = 1e-5
"""By how much two maps may differ and still be one to an index.

Means in units of a vector's length, matrices by Frobenius norm in units of their own. Stored
vectors are float16: rounding moves a unit vector by about 3e-4, thirty times as much. The same
pairs fitted in another order changed a mean by 5e-17 to 3e-16 and a matrix by 1e-14 (128
dimensions; 1e-10 where the pairs hardly vary in some of these, 1e-6 for procrustes on fewer pairs
than dimensions). One new pair among a million changes a mean by up to 1e-6.
"""

_KIND = "mrag-alignment/1"


class GapMap(Protocol):
    """Carries pictures and captions into one space."""

    @property
    def method(self) -> Method:
        """How it was fitted; `raw` leaves both where they are."""

    @property
    def hub_strength(self) -> float:
        """How much of a point's nearness to everything is taken off its cosines."""

    def map_images(self, images: ArrayLike) -> Vectors:
        """Map picture vectors (n, dim) to float32 unit rows."""

    def map_texts(self, texts: ArrayLike) -> Vectors:
        """Map caption vectors (n, dim) to float32 unit rows."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """A linear map between CLIP's picture and caption cones, and where it came from.

    mapped picture: unit((x - mean_image) matrix); mapped caption: unit(t - mean_text); `raw`
    only makes rows unit length. The means are float64 (dim,); `matrix` is float64 (dim, dim),
    None for the identity. `n` counts pairs and is 0 for unpaired means, which are of
    `n_images` pictures and `n_captions` captions. `choices` is the table that `auto` chose
    from, `reason` says in a sentence why this method was taken. `fitted_on` is what it was asked
    for and made from, in JSON's types, so that it can be told when it has to be fitted again.
    """

    method: Method
    dim: int
    mean_image: Matrix | None = field(repr=False)
    mean_text: Matrix = field(repr=False)
    matrix: Matrix | None = field(default=None, repr=False)
    strength: float | None = None
    n: float = 0
    n_images: float = 0
    n_captions: float = 0
    encoder_id: str = ""
    source: str = ""
    choices: tuple[Choice, ...] = field(default=(), repr=False)
    reason: str = ""
    created: str = ""
    program: str = ""
    fitted_on: Mapping[str, Any] = field(default_factory=dict, repr=False)
    hub_strength: float = 0.0
    bank: Bank | None = field(default=None, repr=False)

    @classmethod
    def fit(
        cls,
        moments: PairMoments,
        method: str = "auto",
        *,
        strength: float | None = None,
        folds: Sequence[Fold] = (),
        distractors: Vectors | None = None,
        encoder_id: str = "",
        source: str = "",
    ) -> Alignment:
        """Fit a map on the moments of at least 2 pairs, by one of METHODS or `auto`.

        `auto` chooses method and strength on `folds`, which must be parts of `moments`; where
        no two of them can be held out (each needs a sample, and 2 different pairs beside it)
        it takes `raw`. ridge and shrink take `strength`, else choose it on `folds`, else use
        `default_strength`. Right captions are told from those of other folds and from
        `distractors` (p, dim), captions of no pair; the map itself owes nothing to these.
        Raises AlignmentError for an unknown method, a strength that cannot be used, too few
        pairs, or pairs whose pictures are all the same.
        """
        mean_image, mean_text = moments.means()
        selection = decide(moments, method, strength, folds, distractors)
        matrix = None
        if selection.method not in UNLEARNED:
            matrix = Spectrum(moments).matrix(selection.method, selection.strength)
        return cls(
            method=selection.method,
            dim=moments.dim,
            mean_image=mean_image,
            mean_text=mean_text,
            matrix=matrix,
            strength=selection.strength,
            n=moments.n,
            n_images=moments.n,
            n_captions=moments.n,
            encoder_id=encoder_id,
            source=source,
            choices=selection.choices,
            reason=selection.reason,
            created=_now(),
            program=_program(),
            hub_strength=selection.hub_strength,
        )

    @classmethod
    def from_means(
        cls,
        mean_image: ArrayLike | None,
        mean_text: ArrayLike,
        *,
        n_images: int,
        n_captions: int,
        encoder_id: str = "",
        source: str = "",
    ) -> Alignment:
        """The `centred` map from means (dim,) of unit rows that need not be pairs.

        Without `mean_image` it maps captions only, until `with_image_mean` completes it.
        """
        text = _checked_mean(mean_text, None, "captions")
        alignment = cls(
            method="centred",
            dim=len(text),
            mean_image=None,
            mean_text=text,
            n_captions=n_captions,
            encoder_id=encoder_id,
            source=source,
            reason=f"no pairs: captions centred by the mean of {n_captions} of them",
            created=_now(),
            program=_program(),
        )
        return alignment if mean_image is None else alignment.with_image_mean(mean_image, n_images)

    def with_image_mean(self, mean_image: ArrayLike, n_images: int) -> Alignment:
        """The same map with pictures centred by the mean (dim,) of `n_images` unit rows."""
        mean = _checked_mean(mean_image, self.dim, "pictures")
        reason = self.reason
        if not self.n:
            reason = (
                f"no pairs: centred by the means of {n_images} pictures "
                f"and {self.n_captions:g} captions"
            )
        return replace(self, mean_image=mean, n_images=n_images, reason=reason, created=_now())

    def map_images(self, images: ArrayLike) -> Vectors:
        """Map picture vectors (n, dim), of any length, to float32 unit rows.

        Zero rows stay zero. Raises AlignmentError for another dimension, for rows that are
        not finite (named), and where the mean of the pictures is not known yet.
        """
        if self.method == "raw":
            return self._map(images, None, None, "images")
        if self.mean_image is None:
            raise AlignmentError(
                "this map knows captions only and cannot map pictures; ingest your pictures into "
                "a collection of their own, whose memory is this one, and ask that one"
            )
        return self._map(images, self.mean_image, self.matrix, "images")

    def map_texts(self, texts: ArrayLike) -> Vectors:
        """Map caption vectors (n, dim), as `map_images` does pictures."""
        return self._map(texts, None if self.method == "raw" else self.mean_text, None, "texts")

    def _map(
        self, vectors: ArrayLike, mean: Matrix | None, matrix: Matrix | None, name: str
    ) -> Vectors:
        rows = as_rows(vectors, self.dim, name)
        norms = row_norms(rows, name)
        result = np.empty(rows.shape, dtype=np.float32)
        for block in blocks(*rows.shape):
            mapped = rows[block] * inverse(norms[block])[:, None]
            if mean is not None:
                mapped[norms[block] > 0] -= mean
            if matrix is not None:
                mapped = mapped @ matrix
            result[block] = unit_rows(mapped, name)
        return result

    @property
    def text_origin(self) -> Matrix:
        """What is taken from captions before they are made unit length: nothing by `raw`."""
        return np.zeros(self.dim) if self.method == "raw" else self.mean_text

    @cached_property
    def hubs(self) -> Hubs | None:
        """What tells how near points are to everything; None without a bank, or a map of both."""
        if self.bank is None or (self.mean_image is None and self.method != "raw"):
            return None
        return Hubs(self.bank, self)

    def maps_texts_like(self, other: Alignment) -> bool:
        """Whether both maps put captions in the same place, within TOLERANCE."""
        return _near(self.text_origin, other.text_origin, 1.0)

    def maps_like(self, other: Alignment) -> bool:
        """Whether both maps put pictures and captions in the same places, within TOLERANCE.

        Then either may stand for the other: vectors mapped by both can be told apart no more
        once they are stored, and what is taken off their cosines hardly.
        """
        about = (self.encoder_id, self.dim, self.method, self.hub_strength)
        if about != (other.encoder_id, other.dim, other.method, other.hub_strength):
            return False
        if self.bank is not other.bank and (self.bank is None or not self.bank.like(other.bank)):
            return False
        if self.method == "raw":
            return True
        size = 1.0 if self.matrix is None else float(np.linalg.norm(self.matrix))
        return (
            self.maps_texts_like(other)
            and _near(self.mean_image, other.mean_image, 1.0)
            and _near(self.matrix, other.matrix, size)
        )

    @cached_property
    def fingerprint(self) -> str:
        """32 hex digits that name exactly this map, bit for bit, in reports and caches.

        A refit of the same data may get another name: `maps_like` says whether that matters.
        """
        digest = hashlib.sha256(json.dumps([self.method, self.dim, self.encoder_id]).encode())
        if self.method != "raw":
            for tensor in (self.mean_image, self.mean_text, self.matrix):
                digest.update(b"\0" if tensor is None else b"\1" + tensor.tobytes())
        if self.hub_strength:
            digest.update(json.dumps(self.hub_strength).encode())
        return digest.hexdigest()[:32]

    def save(self, path: Path) -> None:
        """Write a safetensors file with all provenance in its metadata, whole or not at all."""
        named = {
            "mean_image": self.mean_image,
            "mean_text": self.mean_text,
            "matrix": self.matrix,
        }
        tensors: dict[str, NDArray[Any]] = {k: v for k, v in named.items() if v is not None}
        if self.bank is not None:
            tensors |= {f"bank.{name}": getattr(self.bank, name) for name in _BANK}
        about = {name: getattr(self, name) for name in _PROVENANCE}
        about["choices"] = [asdict(choice) for choice in self.choices]
        write_tensors(path, _KIND, tensors, {"alignment": json.dumps(about)})

    @classmethod
    def load(cls, path: Path) -> Alignment:
        """Read what `save` wrote; raises AlignmentError for any other file."""
        tensors, metadata = read_tensors(path, _KIND, fit_again(path))
        try:
            about = json.loads(metadata["alignment"])
            choices = tuple(Choice(**choice) for choice in about.pop("choices"))
            alignment = cls(
                mean_image=tensors.get("mean_image"),
                mean_text=tensors["mean_text"],
                matrix=tensors.get("matrix"),
                bank=_bank(tensors),
                choices=choices,
                **about,
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise AlignmentError(f"{path} is damaged ({error!r}); {fit_again(path)}") from error
        alignment._check(path)
        return alignment

    def _check(self, path: Path) -> None:
        d, bank = self.dim, self.bank
        shapes = {"mean_image": (d,), "mean_text": (d,), "matrix": (d, d)}
        for name, shape in shapes.items():
            tensor = getattr(self, name)
            if tensor is not None and tensor.shape != shape:
                raise AlignmentError(
                    f"tensor {name!r} of {path} has shape {tensor.shape}, not {shape}; "
                    f"{fit_again(path)}"
                )
        for rows, owners in () if bank is None else bank.kinds():
            if rows.ndim != 2 or rows.shape != (len(owners), d):
                raise AlignmentError(
                    f"the bank of {path} has shape {rows.shape}, not ({len(owners)}, {d}); "
                    f"{fit_again(path)}"
                )
        if self.method not in METHODS or (self.matrix is None) != (self.method in UNLEARNED):
            raise AlignmentError(f"{path} does not hold a {self.method!r} map; {fit_again(path)}")


_PROVENANCE = (
    "method",
    "dim",
    "strength",
    "n",
    "n_images",
    "n_captions",
    "encoder_id",
    "source",
    "reason",
    "created",
    "program",
    "fitted_on",
    "hub_strength",
)
_BANK = ("pictures", "picture_owners", "captions", "caption_owners")


def _bank(tensors: Mapping[str, NDArray[Any]]) -> Bank | None:
    """The bank of a file; None in those of earlier versions. Raises KeyError for half a bank."""
    if "bank.pictures" not in tensors:
        return None
    return Bank(**{name: tensors[f"bank.{name}"] for name in _BANK})


def _near(one: Matrix | None, other: Matrix | None, size: float) -> bool:
    if one is None or other is None:
        return one is other
    return float(np.linalg.norm(one - other)) <= TOLERANCE * size


def _checked_mean(mean: ArrayLike, dim: int | None, name: str) -> Matrix:
    vector = np.array(mean, dtype=np.float64)
    if vector.ndim != 1 or (dim is not None and len(vector) != dim):
        wanted = "dim" if dim is None else str(dim)
        raise AlignmentError(
            f"the mean of the {name} has shape {vector.shape}, not ({wanted},); "
            "use vectors of one encoder"
        )
    if not np.isfinite(vector).all():
        raise AlignmentError(f"the mean of the {name} is not finite; embed them again")
    length = float(np.linalg.norm(vector))
    if length > 1 + MEAN_SLACK:
        raise AlignmentError(
            f"the mean of the {name} has length {length:.4g}, but a mean of unit rows has at "
            "most 1; make the rows unit length before taking their mean"
        )
    return vector


def stamped(alignment: Alignment) -> Alignment:
    """The map as one that was made now, by this program."""
    return replace(alignment, created=_now(), program=_program())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _program() -> str:
    try:
        return f"mrag {version('mrag')}"
    except PackageNotFoundError:
        return "mrag (not installed)"
