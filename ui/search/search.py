"""The page Search: words or a picture in, pictures out. All that it shows is in its address."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import streamlit as st
from PIL.Image import Image

from engine.app import Collection
from engine.search.gallery import Query
from engine.search.terms import read_terms
from engine.types import SearchResult
from ui.describe.results import announce
from ui.search.address import SearchAddress
from ui.search.found import show_first, show_found
from ui.search.opened import show_opened
from ui.search.panel import (
    asked,
    given_picture,
    go,
    like_field,
    options,
    picture_field,
    words_field,
)
from ui.shared.shell import await_models, chosen, errors_shown

_WAITING_HEIGHT = 600
_ANSWERED = "search answered"


def page() -> None:
    """The whole page."""
    st.title("Search pictures")
    collection = chosen()
    body, spoken = st.container(), st.container()
    told = ""
    with body, errors_shown():
        facets = collection.images.facets()
        address = asked(facets)
        options(address, facets)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            words_field()
            file = picture_field()
        query = _query(address, given_picture(file))
        like_field(address, collection)
        if query is None:
            clicked = show_first(collection)
        else:
            result, least = _search(query, address, collection)
            told, clicked = show_found(result, least, query, address)
        if clicked:
            go(replace(address, picture=clicked))
        if clicked or address.picture:
            show_opened(clicked or address.picture, collection)
    with spoken:
        announce(told)


def _query(address: SearchAddress, picture: Image | None) -> Query | None:
    terms = read_terms(address.q)
    if terms == read_terms("") and not address.like and picture is None:
        return None
    return Query(terms.text, picture, terms.plus, terms.minus, address.like)


def _search(
    query: Query, address: SearchAddress, collection: Collection
) -> tuple[SearchResult, float | None]:
    """What is found, one more than a page if there is one, and the least score shown."""
    # The first search may have to wait for models; later ones leave in place what they replace.
    first = not st.session_state.get(_ANSWERED)
    st.session_state[_ANSWERED] = True
    await_models(collection.card.name)
    with st.skeleton(_WAITING_HEIGHT) if first else nullcontext():
        gallery, relevance = collection.search_tools()
        least = relevance.least_score(query, address.space, address.strict / 100)
        result = gallery.search(
            query,
            address.space,
            address.k + 1,
            filters=address.filters,
            offset=address.offset,
            min_score=least,
        )
    return result, least


page()
