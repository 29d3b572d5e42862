"""What an ablation varies: axes of settings, each a step away from the default."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from engine.alignment.closed_form import METHODS, AnyMethod
from engine.alignment.hubs import STRENGTHS as HUB_STRENGTHS
from engine.describe.captioner import DescribeOptions
from engine.describe.prompts import TEMPLATES
from engine.errors import InvalidInput
from engine.types import Decoding

SHARES = (0.01, 0.025, 0.05, 0.1, 1.0)
"""Shares of the training pictures that a map is fitted on, as in the papers' tables."""


@dataclass(frozen=True)
class MapChoice:
    """How the map is fitted: on a `share` of the training pictures, with or without centring.

    With `clusters` it is one map for each cluster of pictures, in which the map of all counts
    as `prior` pairs for every pair there is.
    """

    method: AnyMethod = "auto"
    share: float = 1.0
    centring: bool = True
    clusters: int = 0
    prior: float = 0.0


@dataclass(frozen=True)
class Cell:
    """All that decides a measurement, but the data; the default values are the program's.

    `hubs`: so many times its nearness to everything is taken off a point, in rankings and where
    captions to describe from are found; None: in rankings as the map says, and nothing there.
    `encoder`: loads another encoder, "" is the collection's. `map_of` and `index_of` name the
    collection whose pairs and whose captions are used, "" is the one whose pictures are.
    """

    map: MapChoice = field(default_factory=MapChoice)
    describe: DescribeOptions = field(default_factory=DescribeOptions)
    hubs: float | None = None
    exclude_own: bool = True
    encoder: str = ""
    map_of: str = ""
    index_of: str = ""


@dataclass(frozen=True)
class Variant:
    """A cell under the name by which a table shows it."""

    axis: str
    label: str
    cell: Cell


DEFAULT = Variant("default", "default", Cell())

_Varied = Iterator[tuple[str, Cell]]


def _mapped(**choice: Any) -> Cell:
    return Cell(map=MapChoice(**choice))


def _describing(**options: Any) -> Cell:
    return Cell(describe=DescribeOptions(**options))


def _maps() -> _Varied:
    yield "raw", _mapped(method="raw")
    methods: Sequence[AnyMethod] = ("auto", *(m for m in METHODS if m != "raw"))
    for method in methods:
        for share in SHARES:
            yield f"{method}, {share:.3g} of the pairs", _mapped(method=method, share=share)


def _centring() -> _Varied:
    for method in METHODS:
        if method not in {"raw", "centred"}:
            yield f"{method}, centred", _mapped(method=method)
            yield f"{method}, not centred", _mapped(method=method, centring=False)
    yield "no matrix, centred", _mapped(method="centred")
    yield "no matrix, not centred", _mapped(method="raw")


def _orthogonality() -> _Varied:
    for method in ("procrustes", "shrink", "ridge", "ols"):
        yield method, _mapped(method=method)


def _orders() -> _Varied:
    for order in ("nearest-first", "nearest-last"):
        yield order, _describing(order=order)


def _ks() -> _Varied:
    for k in (1, 2, 3, 4, 6, 8, 12):
        yield f"k {k}", _describing(k=k)


def _prompts() -> _Varied:
    for template in TEMPLATES:
        yield template, _describing(template=template)


def _decodings() -> _Varied:
    methods: tuple[Literal["greedy", "beam", "nucleus"], ...] = ("greedy", "beam", "nucleus")
    for method in methods:
        yield f"{method}, 1 candidate", _describing(decoding=Decoding(method), candidates=1)
        yield f"{method}, 4 candidates", _describing(decoding=Decoding(method))


def _candidates() -> _Varied:
    for count in (1, 2, 4, 8):
        yield f"{count} candidates", _describing(candidates=count)


def _diversity() -> _Varied:
    for diversity in (0.1, 0.2, 0.3, 0.5):
        yield f"diversity {diversity}", _describing(diversity=diversity)
    for per_image in (1, 2, 5):
        yield f"{per_image} captions of a picture", _describing(per_image=per_image)


def _own() -> _Varied:
    yield "own captions excluded", Cell()
    yield "own captions found", Cell(exclude_own=False)


def _spaces() -> _Varied:
    yield "raw", _describing(space="raw")
    yield "fused", _describing(space="fused")


def _consensus() -> _Varied:
    for weight in (0.1, 0.25, 0.5, 0.75, 1.0):
        yield f"consensus {weight}", _describing(consensus=weight)
    for weight in (0.0, 0.1, 0.25, 0.5, 0.75, 1.0):
        yield f"consensus {weight}, borrowing", _describing(consensus=weight, borrow=True)


def _hubs() -> _Varied:
    for strength in HUB_STRENGTHS:
        yield f"hub correction {strength:g}", Cell(hubs=strength)


def _clusters() -> _Varied:
    for clusters in (2, 4, 8):
        for prior in (0.1, 1.0):
            label = f"{clusters} clusters, prior {prior:g}"
            yield label, _mapped(method="shrink", clusters=clusters, prior=prior)


AXES: dict[str, Callable[[], _Varied]] = {
    "map": _maps,
    "centring": _centring,
    "orthogonality": _orthogonality,
    "order": _orders,
    "k": _ks,
    "prompt": _prompts,
    "decoding": _decodings,
    "candidates": _candidates,
    "diversity": _diversity,
    "own": _own,
    "space": _spaces,
    "consensus": _consensus,
    "hubs": _hubs,
    "clusters": _clusters,
}
"""What can be varied: the papers' tables first, then what goes beyond them."""


def grid(
    axes: Iterable[str] = AXES, *, other: str = "", encoders: Iterable[str] = ()
) -> list[Variant]:
    """The default and every variant of these axes; with `other`, the transfers from it.

    Raises InvalidInput for an unknown axis.
    """
    variants = [DEFAULT]
    for axis in axes:
        if axis not in AXES:
            raise InvalidInput(f"unknown axis {axis!r}; choose from {', '.join(AXES)}")
        variants += [Variant(axis, label, cell) for label, cell in AXES[axis]()]
    variants += [Variant("encoder", spec, Cell(encoder=spec)) for spec in encoders]
    if other:
        variants += _transfers(other)
    return variants


def _transfers(other: str) -> list[Variant]:
    methods: tuple[AnyMethod, ...] = ("auto", "raw", "centred", "shrink", "procrustes", "ols")
    places = {
        "all its own": Cell(),
        f"map of {other}": Cell(map_of=other),
        f"map and captions of {other}": Cell(map_of=other, index_of=other),
    }
    return [
        Variant("transfer", f"{method}: {label}", replace(cell, map=MapChoice(method)))
        for label, cell in places.items()
        for method in methods
    ]
