"""The page Collections: what each holds, how it gets more, and how it is deleted."""

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
from ui.shared.pictures import escaped
from ui.shared.resources import engine
from ui.shared.shell import errors_shown

_KEY = "collection"
_PICK = "picked collection"


def page() -> None:
    """The whole page."""
    st.title("Collections")
    name = _choice()
    if name:
        with errors_shown():
            _overview(engine().open(name))
    else:
        st.info("There is no collection yet. Make one below from a zip of your pictures.")
    show_jobs()
    show_form()
    if name:
        _deletion(name)


def _choice() -> str:
    """Let the visitor choose here too, as the side panel is out of sight on a phone."""
    names = engine().names()
    if not names:
        return ""
    chosen = str(st.session_state.get(_KEY) or names[0])
    st.session_state[_PICK] = chosen
    st.selectbox("Collection to look at", names, key=_PICK, on_change=_choose)
    return chosen


def _choose() -> None:
    st.session_state[_KEY] = st.session_state[_PICK]


def _overview(collection: Collection) -> None:
    summary = collection.summary()
    if summary.trouble:
        st.warning(escaped(summary.trouble))
    if summary.waiting:
        st.info(escaped(summary.waiting))
    _numbers(summary)
    card = summary.card
    lender = f"collection {card.memory}" if card.memory else "its own captions"
    st.markdown(
        f"- Encoder: {escaped(card.encoder_id)}, {card.dim} dimensions\n"
        f"- Generator: {escaped(_without_folders(card.generator))}\n"
        f"- Pictures are described from: {lender}\n"
        f"- Map across the gap: {escaped(summary.method or 'none yet')}"
    )
    if summary.method:
        _show_choices(collection.fitted if summary.images is None else collection.alignment)


def _without_folders(spec: str) -> str:
    """A hub's name as it is, of a folder of this machine its last part: visitors see this."""
    return Path(spec).name if Path(spec).is_absolute() else spec


def _numbers(summary: CollectionSummary) -> None:
    mapped = mapped_bytes(summary.path)
    with st.container(horizontal=True):
        st.metric("Pictures", _count(summary.images))
        st.metric("Captions", _count(summary.captions))
        st.metric("On disk", readable(disk_bytes(summary.path)))
        st.metric(
            "In memory",
            "?" if mapped is None else readable(mapped),
            help="Files of its indexes that are in memory now. The system takes this back at need.",
        )


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _named(choice: Choice) -> str:
    return f"{choice.method} (chosen)" if choice.chosen else choice.method


def _show_choices(alignment: Alignment) -> None:
    st.caption(escaped(alignment.reason))
    titles = ("Method", "Strength", "Held-out MRR", "Below the best", "Standard error")
    rows = [
        dict(zip(titles, (_named(choice), *choice.shown()), strict=True))
        for choice in best_of_each(alignment.choices)
    ]
    if rows:
        with st.expander("What the map was chosen from"):
            st.caption(
                "Mean reciprocal rank of the right partner on held-out pairs, picture to caption "
                "and back: 1 is perfect."
            )
            st.table(rows, hide_index=True, alt="Methods with their scores on held-out pairs")


def _deletion(name: str) -> None:
    with st.expander(f"Delete {name}"):
        st.markdown(
            "Its embeddings, its map and its index go for good, and so do pictures that were "
            "uploaded to it. Pictures in a folder of this machine stay."
        )
        typed = st.text_input(f"Type {name} to confirm", key=f"confirm {name}")
        wanted = st.button("Delete for good", type="primary", disabled=typed.strip() != name)
        if wanted:
            with errors_shown(), st.spinner(f"Deleting {name}"):
                delete(engine(), name)
                del st.session_state[_KEY]
                st.query_params.pop(_KEY, None)
                st.rerun()


page()
