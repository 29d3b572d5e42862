"""Pages that neither repeat nor miss a hit, though engines order equal scores at will."""

from __future__ import annotations

from collections.abc import Callable

from engine.store.interface import Hit


def best_first(hits: list[Hit]) -> list[Hit]:
    """Order hits by score, equal scores by id."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))


def stable_page(fetch: Callable[[int], list[Hit]], k: int, offset: int) -> list[Hit]:
    """Hits `offset` to `offset + k` of what `fetch(limit)` returns, best first.

    Fetches on until the hits that tie with the last wanted one are all there, so that their
    order by id does not depend on the page.
    """
    wanted = offset + k
    limit = wanted + 1
    hits = fetch(limit)
    while len(hits) == limit and hits[-1].score == hits[wanted - 1].score:
        limit *= 2
        hits = fetch(limit)
    return best_first(hits)[offset:wanted]
