"""The filters of the page Search: what there is to choose, with counts, and what is chosen.

All of them stand in what is typed: a choice in the side panel is written there, or taken out of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, time
from typing import Any

import streamlit as st

from engine.errors import InvalidSearch
from engine.search.filter_terms import FILTER_TERMS
from engine.search.language import Filter, Item, Like, Search, read_search, written
from engine.search.naming import not_here, spelled_out
from engine.store import ImageStore
from engine.types import Facets, Filters
from engine.words import folded
from ui.search.panel import current, look_for
from ui.shared.pictures import escaped
from ui.shared.unread import show_unread

_LABELS = {
    "camera": "Camera",
    "place": "Place",
    "lens": "Lens",
    "tag": "Tag",
    "by": "Captions by",
    "ext": "File type",
    "split": "Split",
    "label": "Label",
}
_MOMENTS = ("after", "before")
"""Filters that take a day or a time of day, each with a field of its own."""

_STARS = (5, 4, 3, 2, 1, 0)
_COUNT = re.compile(r" \([\d,]+\)$")
_HOW = """
| typed | finds |
| --- | --- |
| `a dog on a beach` | pictures like these words |
| `a dog +snow -cat` | nearer to snow, away from cats |
| `a dog -"red car"` | quotes keep words together |
| `2:dog snow -0.5:cat` | weights: twice as much dog, a little less cat |
| `a dog "on the beach"` | a caption must have the words in quotes |
| `after:2024-05 before:2025-01-31` | taken then; both ends belong to it; years and months, too |
| `after:08:00 before:17:00` | at these times of any day; `after:22:00 before:06:00` at night |
| `camera:"Canon EOS R6"` `lens:24-105` | cameras and lenses, by all of the name or a part |
| `place:Lisbon` `place:Portugal` | towns, regions, countries |
| `near:38.7,-9.1,20km` | taken within 20 km of there |
| `tag:holiday -tag:"red car"` | with this tag, and without that one |
| `label:dog -label:cat` | labels that "Tag pictures" or `mrag tag` gave |
| `by:human` `by:generated` | captions by people, or by a model |
| `has:caption` `-has:caption` | with captions, and without |
| `ext:jpg` `rating:3` `split:val` | a type of file; three stars or more; a split |
| `like:ID -like:ID` | like this picture of the collection, and not like that one |

All filters must hold; of several of one kind, such as `tag:a tag:b`, any is enough. `-` before
`camera:`, `lens:`, `place:`, `tag:`, `by:`, `has:`, `ext:`, `split:` and `label:` leaves pictures
out. Filters alone show pictures by date. The same text finds the same with `mrag search '...'` and
in the API.
"""


def how_to_search() -> None:
    """The language of searches, for whoever asks."""
    with st.popover("How to search", icon=":material/help:", type="tertiary"):
        st.markdown(_HOW)


def read_or_marked(typed: str, beside: Iterable[Item]) -> Search | None:
    """What is typed, read; None where it cannot be, which is shown with the place marked."""
    try:
        search = read_search(typed, beside)
    except InvalidSearch as error:
        show_unread(error)
        return None
    for hint in search.hints:
        _hint(hint)
    return search


def chosen_filters() -> None:
    """The filters that count, each a button that takes it away."""
    typed = read_search(current().q).items
    chosen = [at for at, item in enumerate(typed) if isinstance(item, Filter | Like)]
    if not chosen:
        return
    with st.container(key="chosen-filters", horizontal=True, gap="small"):
        for at in chosen:
            st.button(
                escaped(str(typed[at])),
                key=f"without {at} {typed[at]}",
                icon=":material/close:",
                help="Search without this",
                on_click=look_for,
                args=(written((*typed[:at], *typed[at + 1 :])),),
            )
        if len(chosen) > 1:
            rest = written(item for item in typed if not isinstance(item, Filter | Like))
            st.button("Clear all", type="tertiary", on_click=look_for, args=(rest,))


def say_what_is_not_here(search: Search, facets: Facets) -> None:
    """Where nothing was found: which filter names what no picture has, and what there is."""
    for hint in not_here(search.filters, facets):
        _hint(hint)


def filter_fields(search: Search | None, facets: Facets, images: ImageStore) -> None:
    """What pictures can be filtered by, counted under the filters that are chosen.

    A filter's own choice does not count for its own values, so that others can be taken beside it.
    """
    if search is None:
        st.caption("Filters can be chosen once the search can be read.")
        return
    filters = spelled_out(search.filters, images)
    now = facets if filters == Filters() else images.facets(filters)
    for kind, label in _LABELS.items():
        field = FILTER_TERMS[kind].field
        if not getattr(facets, field):
            continue
        chosen = _values(search, kind)
        apart: dict[str, Any] = {field: frozenset()}
        counted = images.facets(replace(filters, **apart)) if chosen else now
        _choice(label, kind, chosen, getattr(counted, field))
    _rating(filters, images)
    _days(filters, facets)
    _times(filters, facets)


def _hint(told: str) -> None:
    st.info(escaped(told[:1].upper() + told[1:]), icon=":material/lightbulb:")


def _values(search: Search, kind: str) -> list[str]:
    return list(
        dict.fromkeys(
            item.value
            for item in search.items
            if isinstance(item, Filter) and item.name == kind and not item.unwanted
        )
    )


def _choice(label: str, kind: str, chosen: list[str], counts: Mapping[str, int]) -> None:
    """The values of one filter; what was typed in another spelling stands as the collection's."""
    spelled = {folded(name): name for name in counts}
    values = list(dict.fromkeys(spelled.get(folded(value), value) for value in chosen))
    _level(kind, values)
    offered = [*counts, *(value for value in values if value not in counts)]
    st.multiselect(
        label,
        offered,
        key=_key(kind),
        format_func=lambda value: f"{value} ({counts[value]:,})" if value in counts else value,
        placeholder="any",
        on_change=_take,
        args=(kind, {value: value for value in offered}),
    )


def _rating(filters: Filters, images: ImageStore) -> None:
    """The least rating, where any picture has one."""
    if not images.count(Filters(least_rating=1)):
        return
    counts = {stars: images.count(replace(filters, least_rating=stars)) for stars in _STARS}
    _level("rating", filters.least_rating)
    st.selectbox(
        "Rating",
        _STARS,
        index=None,
        key=_key("rating"),
        format_func=lambda stars: f"{_starred(stars)} ({counts[stars]:,})",
        placeholder="any",
        on_change=_take,
        args=("rating", {_starred(stars): stars for stars in _STARS}),
    )


def _days(filters: Filters, facets: Facets) -> None:
    """The days between which pictures were taken, where any says it."""
    if facets.taken_from is None or facets.taken_until is None:
        return
    ends = (
        ("after", "Taken from", filters.taken_from),
        ("before", "Taken until", filters.taken_until),
    )
    chosen = [moment.date() for _, _, moment in ends if moment]
    first = min([facets.taken_from.date(), *chosen])
    last = max([facets.taken_until.date(), *chosen])
    for kind, label, moment in ends:
        _level(kind, moment.date() if moment else None)
        st.date_input(
            label,
            value=None,
            min_value=first,
            max_value=last,
            key=_key(kind),
            format="YYYY-MM-DD",
            on_change=_take,
            args=(kind, {}),
        )


def _times(filters: Filters, facets: Facets) -> None:
    """The times of day between which pictures were taken, where any says it."""
    if facets.taken_from is None:
        return
    ends = (
        ("after", "Time of day from", filters.clock_from),
        ("before", "Time of day until", filters.clock_until),
    )
    for kind, label, chosen in ends:
        _level(f"{kind} clock", chosen)
        st.time_input(
            label,
            value=None,
            key=_key(f"{kind} clock"),
            step=900,
            on_change=_take,
            args=(f"{kind} clock", {}),
        )


def _starred(stars: int) -> str:
    return f"{'★' * stars or 'rated'} or more"


def _level(kind: str, value: list[str] | int | date | time | None) -> None:
    """Set a field to what the search says."""
    if st.session_state.get(_key(kind), ...) != value:
        st.session_state[_key(kind)] = value


def _take(kind: str, named: Mapping[str, Any]) -> None:
    """Write into what is typed what a field of the panel says; `named` are its choices by name."""
    value = st.session_state[_key(kind)]
    given = value if isinstance(value, list) else [] if value is None else [value]
    values = [_written(_choice_of(one, named)) for one in given]
    items = read_search(current().q).items
    kind, _, is_clock = kind.partition(" ")
    of_it = [
        item
        for item in items
        if isinstance(item, Filter)
        and item.name == kind
        and not item.unwanted
        and (kind not in _MOMENTS or bool(is_clock) == (":" in item.value))
    ]
    if [folded(one) for one in values] == [folded(item.value) for item in of_it]:
        return  # a label alone is another one: the page that is shown, say, stays
    kept = [item for item in items if item not in of_it]
    look_for(written([*kept, *(Filter(kind, one) for one in values)]))


def _written(value: Any) -> str:
    return f"{value:%H:%M}" if isinstance(value, time) else str(value)


def _choice_of(given: Any, named: Mapping[str, Any]) -> Any:
    """The choice that a field gives.

    A browser says a choice by its label, and one whose count has changed since is no label that is
    known: it comes as it stands, with the former count.
    """
    if given in named.values():
        return given
    return named.get(_COUNT.sub("", str(given)), given)


def _key(kind: str) -> str:
    return f"filter {kind}"
