"""The pictures that a search has found: a grid, what it is told of it, and pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from itertools import islice

import streamlit as st

from engine.app import Collection
from engine.search.gallery import Query, matched_words
from engine.types import ImageHit, SearchResult, SearchSpace, Sort
from engine.video.address import Clip, clock, file_at
from ui.search.address import MAX_PAGE, SearchAddress
from ui.search.chosen import picking, picking_field
from ui.search.panel import go
from ui.shared.components import component
from ui.shared.pictures import Card, picture_grid
from ui.shared.resources import thumbnails
from ui.shared.spaces import SPACES

_turned = component("turned", "<span></span>")

_SIDE = 256
_FIRST = 12
_ORDERS: dict[Sort, str] = {
    "relevance": "best first",
    "newest": "newest first",
    "oldest": "oldest first",
}


@dataclass(frozen=True)
class Page:
    """A page of what was found, and the ids of the pictures before and after it, "" for none.

    `result` is what it was cut from; `likely` is how many of the whole search are likely, None
    where that cannot be told.
    """

    hits: tuple[ImageHit, ...]
    before: str
    after: str
    likely: int | None
    spent_ms: float
    result: SearchResult

    @classmethod
    def of(cls, result: SearchResult, address: SearchAddress, before: int) -> Page:
        """Of a result that has `before` hits more at its beginning, and one more at its end."""
        lead, rest = result.hits[:before], result.hits[before:]
        after = rest[address.k :] if address.page < MAX_PAGE else ()
        former, later = (one[0].id if one else "" for one in (lead, after))
        spent = sum(result.timings_ms.values())
        return cls(rest[: address.k], former, later, result.likely, spent, result)


def begins_here(address: SearchAddress) -> None:
    """Where what is found begins: another search, or another page of it, is shown from there."""
    sought = astuple(replace(address, picture=""))
    _turned(key="turned", data=str(sought), width="stretch")


def show_first(collection: Collection) -> str | None:
    """Show some pictures of the collection to begin with; the id of the one that was clicked."""
    hits = collection.images.get(list(islice(collection.images.ids(), _FIRST)))
    if not hits:
        st.info(
            "This collection has no pictures. Choose another one, or add pictures to it on the "
            "page Collections."
        )
        return None
    st.caption("Type what to look for, add a picture, or open one of these to find more like it.")
    return _grid(hits, [Card(hit.id, b"", _title(hit), note=_told_time(hit)) for hit in hits])


def show_found(
    page: Page, query: Query, address: SearchAddress, space: SearchSpace, *, filtered: bool
) -> tuple[str, str | None]:
    """Show a page of what was found; `filtered`: among the pictures that satisfy filters.

    Gives a sentence about it, and the id of the picture that was clicked.
    """
    hits = page.hits
    if not hits:
        told = _nothing(address, space, query, filtered=filtered)
        st.info(told)
        if address.page > 1:
            st.button("First page", on_click=go, args=(replace(address, page=1),))
        elif space == "words":
            by_meaning = replace(address, space="mapped")
            st.button(f"Look {SPACES['mapped'].both}", on_click=go, args=(by_meaning,))
        return told, None
    told = f"Pictures {address.offset + 1} to {address.offset + len(hits)}, {_ORDERS[address.sort]}"
    more = bool(page.after)
    _pages(address, more, f"{told} · {SPACES[space].both} · {page.spent_ms:.0f} ms")
    if page.result.reranked:
        reordered = "; ".join(page.result.reranked)
        st.caption(f"{reordered[0].upper()}{reordered[1:]}.")
    cards = [_card(hit, query, space) for hit in hits]
    if address.sort != "relevance":
        cards = [replace(card, score=_date(hit)) for card, hit in zip(cards, hits, strict=True)]
    picking_field()
    if space == "fused" and query.words and not any(card.marked for card in cards):
        st.caption("No caption here has these words: the nearest by meaning come first.")
    verdict = _told_likely(page.likely, query)
    clicked = _parts(page, cards, address, verdict)
    _pages(address, more, "")
    return f"{told}. {verdict}", clicked


def show_by_date(page: Page, address: SearchAddress) -> tuple[str, str | None]:
    """Show a page of what filters alone have found; as `show_found`."""
    hits = page.hits
    if not hits:
        told = "No picture satisfies these filters."
        if address.page > 1:
            told = "There are fewer pictures: there is no such page."
            st.button("First page", on_click=go, args=(replace(address, page=1),))
        st.info(told)
        return told, None
    order = _ORDERS["oldest" if address.sort == "oldest" else "newest"]
    told = f"Pictures {address.offset + 1} to {address.offset + len(hits)}, {order}"
    _pages(address, bool(page.after), f"{told} · {page.spent_ms:.0f} ms")
    picking_field()
    cards = [Card(hit.id, b"", _title(hit), _date(hit), _told_time(hit)) for hit in hits]
    clicked = _grid(hits, cards)
    _pages(address, bool(page.after), "")
    return told, clicked


def _parts(page: Page, cards: Sequence[Card], address: SearchAddress, verdict: str) -> str | None:
    """What is likely, and under a divider what is less so; the id of the one that was clicked."""
    if page.likely is None or address.sort != "relevance":
        return _grid(page.hits, cards)
    clicked = None
    above = min(max(page.likely - address.offset, 0), len(cards))
    if page.likely == 0 and address.page == 1:
        st.info(f"{verdict} The nearest come below.")
    if above:
        st.subheader(f"Likely ({page.likely})", anchor=False)
        clicked = _grid(page.hits[:above], cards[:above])
    if above < len(cards):
        if above:
            st.divider()
        st.subheader("Less likely", anchor=False)
        clicked = _grid(page.hits[above:], cards[above:], "found less likely") or clicked
    return clicked


def _told_likely(count: int | None, query: Query) -> str:
    """How many are likely, in words."""
    if count is None:
        return ""
    if count == 0 and query.pictures:
        return "No picture here stands out as what you asked for."
    if count == 0:
        return "Nothing here is likely what you asked for."
    return f"Likely what you asked for: {count}."


def _nothing(address: SearchAddress, space: SearchSpace, query: Query, *, filtered: bool) -> str:
    if address.page > 1:
        return "This search finds fewer pictures: there is no such page."
    remedies = ["use other words"]
    if filtered:
        remedies.append("take filters away")
    none = "No picture is like this enough."
    if address.likely or address.sort != "relevance":
        none = _told_likely(0, query)
        by_date = "have the best first, which shows " if address.sort != "relevance" else "look at "
        remedies.append(f"{by_date}what is less likely, too")
    elif space == "words":
        none = "No caption has these words."
        remedies.append("look by meaning instead")
    return f"{none} You can {' or '.join(remedies)}."


def _card(hit: ImageHit, query: Query, space: SearchSpace) -> Card:
    """The picture with that of its captions that matches most words of the query."""
    matches = {caption: matched_words(query, caption) for caption in hit.captions}
    caption = max(matches, key=lambda one: len(matches[one]), default="")
    return Card(
        hit.id,
        b"",
        caption or _title(hit),
        _score(hit, space),
        note=" · ".join(filter(None, (_told_time(hit), _told_copies(hit.copies)))),
        marked=matches.get(caption, ()),
    )


def _told_copies(count: int) -> str:
    """How many copies stand behind a picture, in words."""
    return f"and {count} {'copy' if count == 1 else 'copies'}" if count else ""


def _score(hit: ImageHit, space: SearchSpace) -> str:
    """A likeness or a weight of words; sums of reciprocal ranks tell a reader nothing."""
    if space == "fused":
        return ""
    return f"{hit.score:.2f}" if space == "words" else f"{hit.score:.3f}"


def _date(hit: ImageHit) -> str:
    """When the picture was taken, empty where that is not known."""
    return str(hit.payload["taken_at"] or "")[:10]


def _title(hit: ImageHit) -> str:
    return next(iter(hit.captions), file_at(hit.uri).name)


def _told_time(hit: ImageHit) -> str:
    """When in its video a shot begins."""
    clip = Clip.at(hit.uri)
    return f"at {clock(clip.start)}" if clip else ""


def _grid(hits: Sequence[ImageHit], cards: Sequence[Card], key: str = "found") -> str | None:
    images = thumbnails().get([hit.uri for hit in hits], _SIDE)
    shown = [replace(card, image=image) for card, image in zip(cards, images, strict=True)]
    return picture_grid(shown, key=key, picking=picking())


def _pages(address: SearchAddress, more: bool, told: str) -> None:
    """A line with what is shown, and the ways to the pages before and after."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if told:
            st.caption(told, width="stretch")
        if address.page > 1 or more:
            place = "top" if told else "bottom"
            for name, step, there in (("Previous", -1, address.page > 1), ("Next", 1, more)):
                st.button(
                    name,
                    key=f"{name} {place}",
                    on_click=go,
                    args=(replace(address, page=max(1, address.page + step)),),
                    disabled=not there,
                )
