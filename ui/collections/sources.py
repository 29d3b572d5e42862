"""Where a collection came from, and bringing it level with that, on the page Collections."""

from __future__ import annotations

import streamlit as st

from engine.collection import CollectionFolder
from ingest.jobs.records import Job
from ingest.sources import Source, Sources
from ingest.sync import SyncReport, preview
from mrag_client.models import SyncOptions
from ui.shared.pictures import escaped
from ui.shared.places import may, placed
from ui.shared.resources import engine, jobs
from ui.shared.shell import errors_shown

_LOOKED = "sync looked"
_KINDS = ("new", "changed", "moved", "gone")


def show_sources(name: str) -> None:
    """The sources of a collection; what has changed in them is looked at, and taken in."""
    known = Sources(CollectionFolder(engine().settings.home, name)).known()
    can_sync = any(source.can_sync for source in known)
    with st.expander("Where it came from", icon=":material/folder_open:"):
        for source in known:
            st.markdown(f"- {escaped(_told(source))}")
        if not can_sync:
            st.caption(_why_not(known))
        elif may("write"):
            with errors_shown():
                _offer(name)


def _told(source: Source) -> str:
    """A source in a line; where it lies is told to those alone who may know."""
    told = source.path if source.can_sync and may("admin") else source.shown
    parts = [told, "" if source.can_sync else "does not change"]
    if source.splits:
        parts.append(f"split {', '.join(source.splits)}")
    if source.limit is not None:
        parts.append(f"the first {source.limit:,}")
    return ", ".join(filter(None, parts))


def _why_not(known: list[Source]) -> str:
    if known:
        return "Nothing here lies in a folder of this machine, so there is nothing to sync."
    return (
        "It is not known where this collection came from. Add the same folder once more, which "
        "embeds nothing again, and it can be synced from then on."
    )


def _offer(name: str) -> None:
    """Look at what has changed, then take it in."""
    running = any(job.sync for job in jobs().active(name))
    with st.container(key="sync", horizontal=True):
        if st.button(
            "See what changed",
            key=f"look {name}",
            icon=":material/search:",
            help="Look at the sources; nothing is changed",
        ):
            with st.spinner("Looking at the sources"):
                st.session_state[_LOOKED] = (name, preview(engine(), name))
        if st.button(
            "Sync",
            key=f"sync {name}",
            icon=":material/sync:",
            disabled=running,
            help="Take in what is new, changed or moved, and let go of what is gone",
        ):
            _start(name, SyncOptions())
    looked_at, report = st.session_state.get(_LOOKED) or ("", None)
    if report is not None and looked_at == name:
        _show(name, report)


def _show(name: str, report: SyncReport) -> None:
    """What a sync would do."""
    found = report.found
    counts = ", ".join(f"{found.counts[kind]:,} {kind}" for kind in _KINDS)
    st.markdown(f"Pictures: {counts}; {found.unchanged:,} unchanged.")
    lost = found.captions_gone + found.captions_lost
    if found.captions_new or lost:
        st.markdown(f"Captions: {found.captions_new:,} new, {lost:,} gone.")
    named = [f"{kind}: {one}" for kind, examples in found.examples.items() for one in examples]
    if named:
        st.code(placed("\n".join(named)), language=None, wrap_lines=True)
    for line in report.troubles:
        st.warning(escaped(placed(line)))
    if found.too_much:
        st.warning("Much of the collection would leave, so Sync alone does nothing.")
        with st.container(key="sync-much", horizontal=True):
            if st.button("Sync, and let it go", key=f"sync all {name}"):
                _start(name, SyncOptions(allowed="all"))
            if st.button("Sync, but let nothing go", key=f"sync rest {name}"):
                _start(name, SyncOptions(allowed="rest"))


def _start(name: str, options: SyncOptions) -> None:
    """Sync in the background: how it goes is told further down the page."""
    jobs().start_sync(name, options)
    st.session_state.pop(_LOOKED, None)
    st.rerun()


def done_text(job: Job) -> str:
    """What a job did, for who looks."""
    return job.message if may("admin") or not job.plain else job.plain
