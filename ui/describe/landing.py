"""What the page Describe shows before anything is given: an example, and words to search with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import streamlit as st

from engine.app import Collection
from engine.search.examples import means_itself
from engine.types import ImageHit
from service.takeaway.values import chosen_score
from ui.describe.describer import Described, Given
from ui.describe.intake import first_pictures, sample
from ui.describe.results import show_example
from ui.shared.pictures import escaped
from ui.shared.shell import await_models, page_file

_TRIED = 3
_LOOKED_AT = 12
_SEARCHES = 4
_LONGEST = 48
"""Characters of a search that still read at a glance."""


Describe = Callable[[Given], Described]


def show_landing(collection: Collection, described: Describe, how: object) -> None:
    """A picture of the collection that is described already, and searches to try.

    `how` it is described tells one description from another: each is written once for all.
    """
    hits = first_pictures(collection, _TRIED)
    if not hits:
        st.info("This collection has no pictures of its own yet. Give one of yours above.")
        return
    if is_wordless(collection):
        return
    place = st.container(key="example")
    _show_searches(collection)
    with place:
        await_models(collection.card.name, writer=True)
        now = collection.current
        told = (collection.card, now.number, now.captions.count(), [hit.id for hit in hits], how)
        show_example(_example(repr(told), hits, described), collection.card.name)


def is_wordless(collection: Collection) -> bool:
    """Whether there are no captions to describe anything from."""
    return not collection.card.memory and not collection.current.captions.count()


@st.cache_resource(max_entries=32, show_spinner=False)
def _example(told: str, _hits: Sequence[ImageHit], _described: Describe) -> Described:
    """The picture whose description is most like it, written for whoever comes first.

    `told` is all that it depends on.
    """
    del told
    return max((_described(sample(hit)) for hit in _hits), key=_likeness)


def _likeness(item: Described) -> float:
    return chosen_score(item.result) if item.result else -1.0


def example_searches(collection: Collection) -> list[str]:
    """Short captions of the collection's pictures: what surely finds something."""
    hits = first_pictures(collection, _LOOKED_AT)
    shortest = (min(hit.captions, key=len) for hit in hits[1:] if hit.captions)
    fitting = (words for words in shortest if len(words) <= _LONGEST and means_itself(words))
    return list(islice(dict.fromkeys(fitting), _SEARCHES))


def _show_searches(collection: Collection) -> None:
    found = example_searches(collection)
    if not found:
        return
    with st.container(key="searches", horizontal=True, vertical_alignment="center"):
        st.markdown("Or find pictures:", width="content")
        for words in found:
            st.page_link(
                page_file("Search"),
                label=escaped(words),
                icon=":material/search:",
                query_params={"q": words, "collection": collection.card.name},
                width="content",
            )
