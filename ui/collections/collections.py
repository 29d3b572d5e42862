"""The page Collections: what there is, how it gets more, and how it is deleted."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from engine.alignment.alignment import Alignment
from engine.alignment.cross_validation import Choice, best_of_each
from engine.app import Collection, CollectionSummary
from engine.footprint import disk_bytes, mapped_bytes, readable
from ingest.delete import delete
from ui.collections.ingest_jobs import show_jobs
from ui.collections.new_collection import show_form
from ui.collections.shelf import show_shelf
from ui.collections.sources import show_sources
from ui.collections.tagging import show_tagging
from ui.shared.pictures import escaped
from ui.shared.places import may, placed
from ui.shared.resources import engine
from ui.shared.shell import choose, errors_shown, forget, page_file

_KEY = "collection"
_DELETED = "collection deleted"
_DOORS = (
    ("Describe", "Describe with it", ":material/add_photo_alternate:"),
    ("Search", "Search it", ":material/search:"),
    ("Compare", "See what its map does", ":material/compare:"),
)


def page() -> None:
    """The whole page."""
    st.title("Collections")
    st.markdown("Your pictures with the words about them: what mRAG describes from and finds in.")
    if deleted := st.session_state.pop(_DELETED, ""):
        st.toast(f"{escaped(deleted)} is deleted.", icon=":material/delete:")
    name = str(st.session_state.get(_KEY) or "")
    if name:
        with errors_shown():
            if clicked := show_shelf(engine().names(), name):
                choose(clicked)
                st.rerun()
        _chosen(name)
    else:
        st.info("There is no collection yet. Make one below from a zip of your pictures.")
    show_jobs()
    if may("write"):
        show_form()
    else:
        st.caption("To add pictures, ask the one who runs this server for the role “write”.")
    if name:
        _deletion(name)


def _chosen(name: str) -> None:
    st.header(name)
    with errors_shown():
        collection = engine().open(name)
        with st.container(key="doors", horizontal=True):
            for page_name, label, icon in _DOORS:
                st.page_link(page_file(page_name), label=label, icon=icon, width="content")
        _overview(collection)
    show_sources(name)
    show_tagging(name)


def _overview(collection: Collection) -> None:
    summary = collection.summary()
    if summary.trouble:
        st.warning(escaped(placed(summary.trouble)))
    if summary.waiting:
        st.info(escaped(summary.waiting))
    if summary.captions == 0 and not summary.card.memory:
        st.info(
            "Nothing here has a caption yet, so nothing can be described: descriptions are made "
            "of captions. Add some below, or make the collection anew and describe it with the "
            "captions of another one. Pictures are found all the same."
        )
    _numbers(summary)
    with st.expander("How it works inside", icon=":material/tune:"):
        _inside(collection, summary)


def _inside(collection: Collection, summary: CollectionSummary) -> None:
    card = summary.card
    lender = f"collection {card.memory}" if card.memory else "its own captions"
    mapped = mapped_bytes(summary.path)
    memory = "?" if mapped is None else f"{readable(mapped)}, which the system takes back at need"
    st.markdown(
        f"- Pictures are described from: {lender}\n"
        f"- Seen by (encoder): {escaped(_without_folders(card.encoder_id))}, "
        f"{card.dim} dimensions\n"
        f"- Written by (generator): {escaped(_without_folders(card.generator))}\n"
        f"- Map across the gap: {escaped(summary.method or 'none yet')}\n"
        f"- Files of its indexes in memory now: {memory}"
    )
    if summary.method:
        _show_choices(collection.fitted if summary.images is None else collection.alignment)


def _without_folders(spec: str) -> str:
    """A hub's name as it is, of a folder of this machine its last part: visitors see this."""
    return Path(spec).name if Path(spec).is_absolute() else spec


def _numbers(summary: CollectionSummary) -> None:
    with st.container(horizontal=True):
        st.metric("Pictures", _count(summary.images))
        st.metric("Captions", _count(summary.captions))
        st.metric("On disk", readable(disk_bytes(summary.path)))


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _named(choice: Choice) -> str:
    return f"{choice.method} (chosen)" if choice.chosen else choice.method


def _show_choices(alignment: Alignment) -> None:
    st.caption(escaped(alignment.reason))
    titles = (
        "Method",
        "Strength",
        "Hubs taken off",
        "Held-out MRR",
        "Below the best",
        "Standard error",
    )
    rows = [
        dict(zip(titles, (_named(choice), *choice.shown()), strict=True))
        for choice in best_of_each(alignment.choices)
    ]
    if rows:
        st.caption(
            "What the map was chosen from. Mean reciprocal rank (MRR) of the right partner on "
            "held-out pairs, picture to caption and back: 1 is perfect. Hubs are pictures and "
            "captions that are near to everything: in searches so much of that is taken off."
        )
        st.table(rows, hide_index=True, alt="Methods with their scores on held-out pairs")


def _deletion(name: str) -> None:
    if not may("admin"):
        st.caption("Only an admin of this server may delete a collection.")
        return
    with st.expander(f"Delete {name}", icon=":material/delete:"):
        st.markdown(
            "Its embeddings, its map and its index go for good, and so do pictures that were "
            "uploaded to it. Pictures in a folder of this machine stay."
        )
        typed = st.text_input(f"Type {name} to confirm", key=f"confirm {name}")
        wanted = st.button("Delete for good", type="primary", disabled=typed.strip() != name)
        if wanted:
            with errors_shown(), st.spinner(f"Deleting {name}"):
                delete(engine(), name)
                forget(name)
                st.session_state[_DELETED] = name
                st.rerun()


page()
