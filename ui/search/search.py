"""The page Search: words or a picture in, pictures out. All that it shows is in its address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import streamlit as st
from PIL.Image import Image
from streamlit.delta_generator import DeltaGenerator

from engine.app import Collection
from engine.rerank.budget import Budget
from engine.search.default_space import SpaceChoice
from engine.search.gallery import Query
from engine.search.language import Search
from engine.search.naming import spelled_out
from engine.search.reranked import SearchReranker
from engine.timing import Stopwatch
from engine.types import DateOrder, Facets, Filters, SearchResult, SearchSpace
from service.explaining import browsing_trace, named_trace
from ui.describe.results import announce
from ui.search.address import SearchAddress
from ui.search.chosen import examples_field
from ui.search.examples import show_examples
from ui.search.filters import (
    chosen_filters,
    filter_fields,
    how_to_search,
    read_or_marked,
    say_what_is_not_here,
)
from ui.search.found import Page, begins_here, show_by_date, show_first, show_found
from ui.search.opened import show_opened
from ui.search.panel import (
    asked,
    come_back,
    given_picture,
    go,
    options,
    picture_field,
    remember,
    space_options,
    words_field,
)
from ui.shared.pictures import escaped
from ui.shared.shell import await_models, chosen, errors_shown
from ui.shared.trace import MADE, show_trace

_WAITING_HEIGHT = 600
_ANSWERED = "search answered"


def page() -> None:
    """The whole page."""
    st.title("Search pictures")
    collection = chosen()
    come_back(collection.card.name)
    body, spoken = st.container(), st.container()
    told = ""
    with body, errors_shown():
        facets = collection.images.facets()
        address = asked()
        remember(collection.card.name, address)
        told = _searched(address, facets, collection)
    with spoken:
        announce(told)


def _searched(address: SearchAddress, facets: Facets, collection: Collection) -> str:
    """Ask, show what is found and the picture that is open; what is to be read out."""
    filters, room = options(collection)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words_field()
        with st.container(horizontal=True, width="content"):  # on a phone, below the words
            file = picture_field()
            how_to_search()
    search = read_or_marked(address.q, address.pictures)
    with filters:
        filter_fields(search, facets, collection.images)
    picture = given_picture(file)
    examples_field(address, collection)
    begins_here(address)
    if search is None:
        return "The search cannot be read."
    chosen_filters()
    told, clicked, shown = _answered(search, picture, address, collection, room)
    if clicked:
        go(replace(address, picture=clicked))
    if clicked or address.picture:
        show_opened(collection, shown)
    if shown is not None and not shown.hits and address.page == 1:
        say_what_is_not_here(search, facets)
        show_examples(collection, "Or try:")
    if shown is not None:
        _show_made(shown, collection)
    return told


def _show_made(shown: Page, collection: Collection) -> None:
    """How what is found was found, for those who ask."""
    with st.expander(MADE, key="search made", on_change="rerun") as details:
        if details.open:
            show_trace(named_trace(shown.result.trace, collection), key="search")


def _answered(
    search: Search,
    picture: Image | None,
    address: SearchAddress,
    collection: Collection,
    room: DeltaGenerator,
) -> tuple[str, str | None, Page | None]:
    """Show what answers: what is to be read out, which picture was clicked, the page of it."""
    query = _query(search, picture)
    filters = spelled_out(search.filters, collection.images)
    if query is not None:
        shown, space = _search(query, filters, address, collection, room)
        told, clicked = show_found(shown, query, address, space, filtered=filters != Filters())
        return told, clicked, shown
    if not search.asks and (filters != Filters() or address.sort != "relevance"):
        shown = _browsed(filters, address, collection)
        told, clicked = show_by_date(shown, address)
        return told, clicked, shown
    return _nothing_asked(search, collection), show_first(collection), None


def _browsed(filters: Filters, address: SearchAddress, collection: Collection) -> Page:
    """A page of the pictures that satisfy the filters, by date."""
    watch = Stopwatch()
    before = min(1, address.offset)
    order: DateOrder = "oldest" if address.sort == "oldest" else "newest"
    with watch.stage("search"):
        hits = collection.images.browse(
            filters,
            order=order,
            k=before + address.k + 1,
            offset=address.offset - before,
        )
    trace = browsing_trace(order, hits, watch.timings_ms["search"])
    found = SearchResult(address.q, "mapped", tuple(hits), watch.timings_ms, trace=trace)
    return Page.of(found, address, before)


def _query(search: Search, picture: Image | None) -> Query | None:
    """What is looked for; None where nothing is, though words may be unwanted."""
    if not (search.text or search.plus or search.likes or picture is not None):
        return None
    return Query.of(search, picture)


def _nothing_asked(search: Search, collection: Collection) -> str:
    """Say what is missing, and what could be looked for."""
    told = ""
    if search.minus:
        unwanted = " ".join(map(str, search.minus))
        told = (
            f"“{unwanted}” says what to leave out, but not yet what to look for: give words before "
            f"it, as in “animals {unwanted}”."
        )
        st.info(escaped(told))
    show_examples(collection, "Try:")
    return told


def _search(
    query: Query,
    filters: Filters,
    address: SearchAddress,
    collection: Collection,
    room: DeltaGenerator,
) -> tuple[Page, SearchSpace]:
    """A page of what is found, and in which space; fills the room beside the choice of it."""
    with _first_waits():
        await_models(collection.card.name)
        choice = None if address.space or not query.words else _measured(collection)
        # A picture alone is looked for where its like lies nearest, and words are of no use.
        space = address.space or (choice.space if choice else "mapped")
        if choice is not None:
            with room:
                space_options(choice)
        # One more on either side: where the large view goes on from the first and the last.
        before = min(1, address.offset)
        result = collection.gallery.search(
            query,
            space,
            before + address.k + 1,
            filters=filters,
            offset=address.offset - before,
            likely=address.likely,
            sort=address.sort,
            reranker=_reranker(address, collection),
        )
    return Page.of(result, address, before), space


def _reranker(address: SearchAddress, collection: Collection) -> SearchReranker | None:
    """What puts the best in another order; by date nothing does."""
    if address.sort != "relevance":
        return None
    return collection.search_reranker(address.rerank, Budget())


def _measured(collection: Collection) -> SpaceChoice:
    """In which space this collection answers best; says so where it is measured just now."""
    with st.spinner("Finding out how this collection answers best (once) …", show_time=False):
        return collection.default_space()


@contextmanager
def _first_waits() -> Iterator[None]:
    """The first search may have to wait; later ones leave in place what they replace."""
    first = not st.session_state.get(_ANSWERED)
    st.session_state[_ANSWERED] = True
    with st.skeleton(_WAITING_HEIGHT) if first else nullcontext():
        yield


page()
