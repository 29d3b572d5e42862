"""The pictures that a search has found: a grid, what it is told of it, and pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import streamlit as st

from engine.app import Collection
from engine.search.gallery import Query, matched_words
from engine.types import Filters, ImageHit, SearchResult
from ui.search.address import MAX_PAGE, SearchAddress
from ui.search.panel import go
from ui.shared.components import component
from ui.shared.pictures import Card, picture_grid
from ui.shared.resources import thumbnails

_turned = component("turned", "<span></span>")

_SIDE = 256
_FIRST = 12
_DIGITS = {"words": ".2f", "fused": ".4f"}


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
    return _grid(hits, [Card(hit.id, b"", _title(hit)) for hit in hits])


def show_found(
    result: SearchResult, least: float | None, query: Query, address: SearchAddress
) -> tuple[str, str | None]:
    """Show a page of a result, which has one hit more where there is a next page.

    Gives a sentence about it, and the id of the picture that was clicked.
    """
    hits = result.hits[: address.k]
    if not hits:
        told = _nothing(address, least)
        st.info(told)
        if address.page > 1:
            st.button("First page", on_click=go, args=(replace(address, page=1),))
        return told, None
    told = f"Pictures {address.offset + 1} to {address.offset + len(hits)}, best first"
    told += "" if least is None else f", scoring at least {least:.3f}"
    more = len(result.hits) > len(hits) and address.page < MAX_PAGE
    spent = sum(result.timings_ms.values())
    _pages(address, more, f"{told} · {spent:.0f} ms")
    clicked = _grid(hits, [_card(hit, query, address) for hit in hits])
    _pages(address, more, "")
    return told, clicked


def _nothing(address: SearchAddress, least: float | None) -> str:
    if address.page > 1:
        return "This search finds fewer pictures: there is no such page."
    remedies = ["use other words"]
    if least is not None:
        remedies.insert(0, "lower the relevance threshold")
    if address.filters != Filters():
        remedies.append("take filters away")
    none = "No picture is like this enough."
    if address.space == "words":
        none = "No caption has these words."
        remedies.append("look in another space")
    return f"{none} You can {' or '.join(remedies)}."


def _card(hit: ImageHit, query: Query, address: SearchAddress) -> Card:
    """The picture with that of its captions that matches most words of the query."""
    matches = {caption: matched_words(query, caption) for caption in hit.captions}
    caption = max(matches, key=lambda one: len(matches[one]), default="")
    score = format(hit.score, _DIGITS.get(address.space, ".3f"))
    return Card(hit.id, b"", caption or _title(hit), score, marked=matches.get(caption, ()))


def _title(hit: ImageHit) -> str:
    return next(iter(hit.captions), Path(hit.uri).name)


def _grid(hits: Sequence[ImageHit], cards: Sequence[Card]) -> str | None:
    images = thumbnails().get([hit.uri for hit in hits], _SIDE)
    shown = [replace(card, image=image) for card, image in zip(cards, images, strict=True)]
    return picture_grid(shown, key="found")


def _pages(address: SearchAddress, more: bool, told: str) -> None:
    """A line with what is shown, and the ways to the pages before and after."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if told:
            st.caption(told, width="stretch")
            _turned(key="turned", data=address.page, width=1)
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
