"""Searches to try on the page Search, made of the collection's own captions."""

from __future__ import annotations

from itertools import islice

import streamlit as st

from engine.app import Collection
from engine.search.examples import example_searches
from ui.search.address import SearchAddress
from ui.search.panel import go
from ui.shared.pictures import escaped

_LOOKED_AT = 60


def show_examples(collection: Collection, lead: str) -> None:
    """Searches to click on behind a few words; nothing where the captions say too little."""
    found = searches(collection)
    if not found:
        return
    with st.container(key="search-examples", horizontal=True, vertical_alignment="center"):
        st.markdown(lead, width="content")
        for said in found:
            st.button(
                escaped(said),
                key=f"try {said}",
                icon=":material/search:",
                on_click=go,
                args=(SearchAddress(q=said),),
            )


def searches(collection: Collection) -> tuple[str, ...]:
    """What to try; the same for as long as the collection holds the same."""
    hits = collection.images.get(list(islice(collection.images.ids(), _LOOKED_AT)))
    return example_searches([hit.captions for hit in hits])
