"""What a collection knows by name, so that a question can speak of it: places, tags, cameras."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from engine.errors import MragError
from engine.search.language import Filter, read_search
from engine.store import ImageStore
from engine.words import folded, words


class Known(Protocol):
    """Says which names mean something here."""

    def has(self, kind: str, name: str) -> bool:
        """Whether any picture satisfies the filter of that kind (`place`, `tag`, `camera`)."""


class KnownHere:
    """The names that pictures of a store have."""

    def __init__(self, images: ImageStore) -> None:
        self._images = images

    def has(self, kind: str, name: str) -> bool:
        """Whether any picture satisfies the filter."""
        if kind == "camera":  # of which some words are enough
            said = set(words(folded(name)))
            return bool(said) and any(said <= one for one in self._cameras)
        try:
            return self._images.count(read_search(str(Filter(kind, name))).filters) > 0
        except MragError:  # no such filter, or no name at all
            return False

    @cached_property
    def _cameras(self) -> list[frozenset[str]]:
        return [frozenset(words(folded(one))) for one in self._images.facets().cameras]


@dataclass(frozen=True)
class NothingKnown:
    """For a question that no collection is known for."""

    def has(self, kind: str, name: str) -> bool:
        """Nothing is known by name."""
        del kind, name
        return False
