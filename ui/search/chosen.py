"""Pictures that were chosen as examples: more like these, not those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import streamlit as st

from engine.app import Collection
from engine.search.language import MAX_TERMS
from engine.types import ImageHit
from ui.search.address import SearchAddress
from ui.search.panel import current, go
from ui.shared.pictures import Picking, escaped, thumbnail

_HIGH = 44
_PICKING = "search picking"


def picking_field() -> None:
    """Whether several of what was found are being chosen."""
    st.toggle(
        "Choose several",
        key=_PICKING,
        help="Mark pictures with + (more like this) or − (not like this), and find more.",
    )


def picking() -> Picking | None:
    """That pictures are being chosen; None where they are not."""
    if not st.session_state.get(_PICKING):
        return None
    return Picking(st.query_params.get("collection", "the collection"), _add)


def _add(likes: Sequence[str], unlikes: Sequence[str]) -> None:
    """Look for more like these and not like those, beside the examples and words that are there."""
    now = current()
    like = [id_ for id_ in (*now.like, *likes) if id_ not in unlikes]
    unlike = [id_ for id_ in (*now.unlike, *unlikes) if id_ not in likes]
    if max(len(like), len(unlike)) > MAX_TERMS:
        st.warning(f"At most {MAX_TERMS} pictures of each kind are looked at: take some out first.")
        return
    space = "" if now.space == "words" else now.space
    go(replace(now, like=tuple(like), unlike=tuple(unlike), space=space, page=1, picture=""))
    st.rerun()


def examples_field(address: SearchAddress, collection: Collection) -> None:
    """The examples, as small pictures, each with a way to be rid of it."""
    hits = {hit.id: hit for hit in collection.images.get([*address.like, *address.unlike])}
    if not hits:
        return
    with st.container(key="examples", horizontal=True, vertical_alignment="center", gap="small"):
        for said, ids in (("Like", address.like), ("Not like", address.unlike)):
            there = [hits[id_] for id_ in ids if id_ in hits]
            if there:
                this = "this one" if len(there) == 1 else "these"
                st.caption(f"{said} {this}", width="content")
            for at, hit in enumerate(there, 1):
                _chip(hit, f"{said.lower()} {at}", address)


def _chip(hit: ImageHit, key: str, address: SearchAddress) -> None:
    told = next(iter(hit.captions), Path(hit.uri).name)
    about = hit.payload
    width = max(_HIGH // 2, min(2 * _HIGH, _HIGH * about["width"] // about["height"]))
    st.image(thumbnail(hit.uri, 4 * _HIGH), width=width, alt=told)
    st.button(
        "Remove",
        key=f"forget {key}",
        help=f"Search without “{escaped(told)}”",
        type="tertiary",
        on_click=partial(go, _without(address, hit.id)),
    )


def _without(address: SearchAddress, id_: str) -> SearchAddress:
    like, unlike = (
        tuple(one for one in ids if one != id_) for ids in (address.like, address.unlike)
    )
    return replace(address, like=like, unlike=unlike, page=1)
