"""The stages of a search in one space: a ranking of ids, put in order, and a page of it read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.search.copies import Copies
from engine.search.verdict import LikelyFirst, Verdict
from engine.stages.protocols import Found
from engine.store import ImageStore
from engine.store.interface import Ranked
from engine.store.paging import RANKED, first_of_each
from engine.types import Filters, ImageHit, SearchSpace, Sort, Vector

if TYPE_CHECKING:
    from engine.search.gallery import Query

_LOOKED_AT = 2000


@dataclass(frozen=True, eq=False)
class Sought:
    """A query as it is searched: its unit vectors, and what is taken off and left out for it."""

    query: Query
    raw: Vector
    mapped: Vector
    hub_strength: float
    filters: Filters
    copies: Copies


@dataclass(frozen=True)
class Page:
    """Which part of a ranking is read, and in which order; see `Gallery.search`."""

    k: int
    offset: int = 0
    diversity: float = 0.0
    min_score: float | None = None
    sort: Sort = "relevance"


class InSpace:
    """Ranks the pictures of a store in one space, all copies among them."""

    def __init__(
        self,
        store: ImageStore,
        space: SearchSpace,
        depth: int,
        diversity: float,
        ranked: Sequence[Ranked] | None = None,
    ) -> None:
        """Take so many pictures at least, not counting copies.

        `ranked` are the first `RANKED` of just this ranking, which are then not asked for again.
        """
        self.name = f"retrieve: {space}"
        self._store, self._depth, self._diversity = store, depth, diversity
        self._space: SearchSpace = space
        self._ranked = ranked

    def retrieve(self, asked: Sequence[Sought]) -> list[Found[Ranked]]:
        """The ids of pictures with their scores, best first."""
        return [Found(tuple(self._known(one) or self._searched(one))) for one in asked]

    def _known(self, one: Sought) -> Sequence[Ranked]:
        """The ranking that is known already, where it goes deep enough; else nothing."""
        if self._ranked is None:
            return ()
        count = len(first_of_each(self._ranked, one.copies.of))
        return () if RANKED <= count < self._depth else self._ranked  # of fewer there are no more

    def _searched(self, one: Sought) -> list[Ranked]:
        return self._store.rank(
            self._space,
            self._depth,
            raw=one.raw,
            mapped=one.mapped,
            words=" ".join(one.query.words),
            filters=one.filters,
            diversity=self._diversity,
            same=one.copies.of,
            collapsed=False,
            hub_strength=one.hub_strength,
        )


class LeastScore:
    """Leaves out what scores less."""

    name = "refine: least score"

    def __init__(self, least: float) -> None:
        self._least = least

    def refine(
        self, asked: Sequence[Sought], found: Sequence[Found[Ranked]]
    ) -> list[Found[Ranked]]:
        """The pictures that score enough."""
        del asked
        return [Found(tuple(item for item in one.items if item[1] >= self._least)) for one in found]


class Collapsed:
    """Leaves of pictures that show the same the best one."""

    name = "refine: copies"

    def refine(
        self, asked: Sequence[Sought], found: Sequence[Found[Ranked]]
    ) -> list[Found[Ranked]]:
        """The first of each group of copies, and all that have none."""
        return [
            Found(tuple(first_of_each(one.items, sought.copies.of)))
            for sought, one in zip(asked, found, strict=True)
        ]


class Likely:
    """Brings what is likely to the front, or leaves it alone."""

    name = "refine: likely first"

    def __init__(self, arrange: LikelyFirst) -> None:
        self._arrange = arrange

    def refine(
        self, asked: Sequence[Sought], found: Sequence[Found[Ranked]]
    ) -> list[Found[Ranked]]:
        """The rankings as they are arranged; there is one, as a verdict is on one query."""
        del asked
        return [Found(tuple(self._arrange(one.items))) for one in found]


class Shown:
    """Reads what is stored of a page's pictures, with the copies and the chance of each."""

    name = "answer"

    def __init__(self, store: ImageStore, page: Page, verdict: Verdict | None) -> None:
        self._store, self._page, self._verdict = store, page, verdict

    def answer(
        self, asked: Sequence[Sought], found: Sequence[Found[Ranked]]
    ) -> list[list[ImageHit]]:
        """The pictures of the page."""
        return [self._shown(sought, one.items) for sought, one in zip(asked, found, strict=True)]

    def _shown(self, sought: Sought, items: tuple[Ranked, ...]) -> list[ImageHit]:
        page = self._page
        hits = self._store.page(items, page.k, offset=page.offset, sort=page.sort)
        hits = self._counted(hits, sought.copies, sought.filters)
        return hits if self._verdict is None else self._verdict.marked(hits)

    def _counted(
        self, hits: Sequence[ImageHit], copies: Copies, filters: Filters
    ) -> list[ImageHit]:
        """Hits with the number of copies that each stands for, of those that may be found.

        Where there are very many, with the number of all.
        """
        beside = {hit.id: copies.beside(hit.id) for hit in hits}
        wanted = [id_ for ids in beside.values() for id_ in ids]
        many = len(wanted) > _LOOKED_AT  # of a long series of pictures alike
        there = set(wanted) if many else self._store.which(wanted, filters)
        return [
            replace(hit, copies=sum(id_ in there for id_ in beside[hit.id]))
            if beside[hit.id]
            else hit
            for hit in hits
        ]
