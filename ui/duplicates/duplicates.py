"""The page Duplicates: what a collection holds more than once, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from engine.app import Collection
from engine.footprint import readable
from mrag_client.models import MOST_GROUPS, DuplicateKind, DuplicateOptions, DuplicatesAnswer
from service.duplicates import all_groups, duplicates
from service.exports import duplicates_as_csv
from ui.describe.results import announce
from ui.duplicates.group import show_groups
from ui.shared.places import may
from ui.shared.resources import engine
from ui.shared.shell import chosen, errors_shown

_GROUPS = 10
_SLICE_S = 1.0
_KINDS: Mapping[str, DuplicateKind] = {"All": "all", "Same file": "exact", "Same sight": "near"}
_PAGE = "page"


def page() -> None:
    """The whole page."""
    st.title("Duplicates")
    collection = chosen()
    spoken = st.container()
    said = ""
    with errors_shown():
        st.caption(
            "What this collection holds more than once: files of the same bytes, and pictures that "
            "were saved anew, scaled, turned or cropped a little. **Nothing is deleted here**: "
            "take the list away, and decide yourself."
        )
        said = _shown(collection)
    with spoken:
        announce(said)


def _shown(collection: Collection) -> str:
    """Compare what is new, then show a page of groups; a sentence about what was found."""
    kind = _KINDS[_kind()]
    first = DuplicateOptions(kind=kind, k=_GROUPS)
    found = _compared(collection, first)
    if not found.total:
        told = "No duplicates were found here."
        st.info(f"{told} Every picture is there once, as far as its file and its looks can tell.")
        _tell_missing(found)
        return told
    groups = "group" if found.total == 1 else "groups"
    told = (
        f"{found.total:,} {groups} of {found.files:,} files; without copies "
        f"{readable(found.spare)} less"
    )
    pages = -(-found.total // _GROUPS)
    at = min(_page(), pages)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{told}**", width="stretch")
        st.download_button(
            "Take the list away",
            _list_of(collection, kind),
            f"duplicates of {collection.card.name}.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="A table of all groups, with a row for each file: for a spreadsheet, or a script "
            "that removes what you choose.",
        )
    _tell_missing(found)
    if at > 1:
        found = _asked(collection, first.model_copy(update={"offset": (at - 1) * _GROUPS}))
    show_groups(found.groups, begin=(at - 1) * _GROUPS + 1)
    _turning(at, pages)
    return told


def _kind() -> str:
    picked = st.segmented_control(
        "Which", list(_KINDS), default="All", required=True, key="kind", bind="query-params",
        on_change=_from_the_first,
    )  # fmt: skip
    return picked or "All"


def _from_the_first() -> None:
    st.query_params.pop(_PAGE, None)


def _compared(collection: Collection, options: DuplicateOptions) -> DuplicatesAnswer:
    """The first groups, once all pictures were looked at; shows how far that is."""
    found = _asked(collection, options)
    most, place = found.waiting, st.empty()
    while found.waiting:
        most = max(most, found.waiting)
        told = f"Looking at pictures and comparing them (once): {found.waiting:,} are left"
        place.progress(1 - found.waiting / most, told)
        found = _asked(collection, options)
    place.empty()
    return found


def _asked(collection: Collection, options: DuplicateOptions) -> DuplicatesAnswer:
    return duplicates(collection, engine().settings, options, seconds=_SLICE_S)


def _list_of(collection: Collection, kind: DuplicateKind) -> Callable[[], bytes]:
    """Makes the list when it is asked for; those who may not know places get names of files."""
    options, paths = DuplicateOptions(kind=kind, k=MOST_GROUPS), may("admin")
    settings = engine().settings

    def made() -> bytes:
        return duplicates_as_csv(all_groups(collection, settings, options, paths=paths))

    return made


def _tell_missing(found: DuplicatesAnswer) -> None:
    if found.missing:
        st.warning(
            f"{found.missing:,} pictures could not be looked at, as their files are not there. "
            "They are compared once they are back."
        )


def _page() -> int:
    """The page that the address names; the first one where it names none."""
    asked = st.query_params.get(_PAGE, "1")
    return max(1, int(asked)) if asked.isascii() and asked.isdigit() and len(asked) < 9 else 1


def _turning(at: int, pages: int) -> None:
    if pages == 1:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        for name, to in (("Previous", at - 1), ("Next", at + 1)):
            there = 1 <= to <= pages
            st.button(name, key=f"turn {name}", on_click=_turn, args=(to,), disabled=not there)
        st.caption(f"Page {at} of {pages}", width="content")


def _turn(to: int) -> None:
    st.query_params[_PAGE] = str(to)


page()
