"""The maps that are measured side by side: none, the collection's, and those of other methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from engine.alignment.alignment import Alignment, Choice, PairMoments
from engine.alignment.closed_form import METHODS, REGULARISED, Method
from engine.alignment.hubs import Bank
from engine.errors import AlignmentError, InvalidInput

RAW, OWN = "raw", "mapped"
FITTED: tuple[Method, ...] = tuple(method for method in METHODS if method != "raw")
MAPS: tuple[str, ...] = (RAW, OWN, *FITTED)
"""`raw`: CLIP as it is. `mapped`: the collection's map. The others: fitted by that method."""


@dataclass(frozen=True)
class MapSource:
    """What maps can be had from: the collection's map, and the pairs that others are fitted on.

    `moments` is None where there are no pairs, `moments_of` says what they are of. `seen` counts
    the evaluated pictures on which the collection's map was fitted. `bank` tells the hubs of the
    maps that are fitted here.
    """

    own: Alignment
    moments: PairMoments | None = field(repr=False)
    moments_of: str
    seen: int = 0
    bank: Bank | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Maps:
    """The maps by name, raw first, and why others are missing."""

    maps: Mapping[str, Alignment]
    missing: Mapping[str, str]


def checked_maps(names: Sequence[str]) -> tuple[str, ...]:
    """The names in the order of MAPS, each once; raises InvalidInput for an unknown one."""
    unknown = [name for name in names if name not in MAPS]
    if unknown or not names:
        raise InvalidInput(
            f"unknown map {unknown[0]!r}; choose from {', '.join(MAPS)}"
            if unknown
            else f"name at least one map of {', '.join(MAPS)}"
        )
    return tuple(name for name in MAPS if name in names)


def make_maps(source: MapSource, names: Sequence[str] = MAPS) -> Maps:
    """The maps of these names, at the strengths that did best on held-out pairs; `raw` as it is."""
    maps: dict[str, Alignment] = {}
    missing: dict[str, str] = {}
    for name in checked_maps(names):
        try:
            maps[name] = _make(source, name)
        except AlignmentError as error:
            missing[name] = str(error)
    return Maps(maps, missing)


def _make(source: MapSource, name: str) -> Alignment:
    own = source.own
    if name == RAW:
        return raw_map(own)
    if name == OWN:
        if own.mean_image is None and own.method != "raw":
            raise AlignmentError("the collection's map knows captions only and no picture")
        return own
    if source.moments is None:
        raise AlignmentError("there are no pairs of picture and caption to fit it on")
    best = _best(own.choices, name)
    fitted = Alignment.fit(
        source.moments,
        name,
        strength=best.strength if best and name in REGULARISED else None,
        encoder_id=own.encoder_id,
        source=source.moments_of,
    )
    return replace(fitted, hub_strength=best.hub_strength if best else 0.0, bank=source.bank)


def raw_map(like: Alignment) -> Alignment:
    """CLIP as it is, for the encoder of another map."""
    zeros = np.zeros(like.dim)
    return Alignment(
        "raw", like.dim, zeros, zeros, encoder_id=like.encoder_id, reason="CLIP as it is"
    )


def _best(choices: Sequence[Choice], method: str) -> Choice | None:
    """What did best of a method on held-out pairs when the collection's map was chosen."""
    tried = [choice for choice in choices if choice.method == method]
    return max(tried, key=lambda choice: choice.score, default=None)
