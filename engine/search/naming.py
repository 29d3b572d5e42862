"""Filters as a collection has them: cameras by some words of their names, names not found here."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from engine.search.filter_terms import FILTER_TERMS
from engine.search.language import Filter
from engine.store import ImageStore
from engine.store.image_store import FACET_VALUES
from engine.types import Facets, Filters
from engine.words import folded, words

_IN_PART = ("cameras", "lenses", "not_cameras", "not_lenses")
"""Filters whose values may be some words of a name: who knows all of a lens by heart?"""

_OFFERED = 5
_RUNS = re.compile(r"\d+|[^\W\d_]+")


def spelled_out(filters: Filters, store: ImageStore) -> Filters:
    """The filters with cameras and lenses by their whole names: `canon` is every Canon here."""
    given = {field: getattr(filters, field) for field in _IN_PART}
    if not any(given.values()):
        return filters
    facets = store.facets()
    names: Mapping[str, Iterable[str]] = {"cameras": facets.cameras, "lenses": facets.lenses}
    whole: dict[str, Any] = {
        field: frozenset(
            name for value in values for name in _named(value, names[field.removeprefix("not_")])
        )
        for field, values in given.items()
    }
    return replace(filters, **whole)


def not_here(filters: Filters, facets: Facets) -> Iterator[str]:
    """Of each filter none of whose names any picture of the collection has, what there is."""
    for kind, term in FILTER_TERMS.items():
        asked: Collection[str] = getattr(filters, term.field) if term.many else ()
        counts: Mapping[str, int] = getattr(facets, term.field) if term.many else {}
        there = {folded(name) for name in counts}
        if not asked or len(counts) >= FACET_VALUES or any(folded(one) in there for one in asked):
            continue
        value = min(asked)
        near = get_close_matches(value, list(counts), _OFFERED, cutoff=0.5)
        offered = list(dict.fromkeys((*near, *counts)))[:_OFFERED]
        has = ", ".join(str(Filter(kind, one)) for one in offered) or f"none with {kind}:"
        yield f"no picture here has {Filter(kind, value)}; there is {has}"


def _named(value: str, names: Iterable[str]) -> list[str]:
    """The names that are the value, else have its words, else its parts; itself if there is none.

    Parts are runs of letters and of digits: `24-105` is in `RF24-105mm F4`.
    """
    spelled = {name: folded(name) for name in names}
    sought = folded(value)
    if sought in spelled.values():
        return [value]
    for split in (words, _parts):
        runs = [split(one) for one in sought.split()]
        having = [name for name, one in spelled.items() if _has(split(one), runs)]
        if having and any(runs):
            return having
    return [value]


def _has(said: Sequence[str], runs: Iterable[Sequence[str]]) -> bool:
    """Whether each run stands in what is said, unbroken."""
    return all(
        any(tuple(said[at : at + len(run)]) == tuple(run) for at in range(len(said) + 1))
        for run in runs
    )


def _parts(text: str) -> Sequence[str]:
    return _RUNS.findall(text)
