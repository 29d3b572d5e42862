"""What the map is worth in a collection, in one figure, whichever side it speaks for."""

from __future__ import annotations

import streamlit as st

from engine.compare.gap import Gap
from engine.compare.verdict import on_collection
from engine.types import Space
from ui.shared.components import component
from ui.shared.spaces import SPACES

_figure = component("figure", "<ul></ul>")

_SIDES: tuple[tuple[Space, str], ...] = (("mapped", "With the map"), ("raw", "Without it"))


def show_figure(gap: Gap | None, method: str) -> None:
    """How many pictures find their own caption first, with the map and without, and of how many."""
    if gap is None or not gap.judged:
        st.caption(
            "No picture here has captions by people, so nobody can say what the map is worth in "
            "this collection."
        )
        return
    st.header(headline(gap, method))
    bars = [
        {
            "name": f"{said}, {SPACES[space].both}",
            "share": gap.side(space).own_first,
            "told": share(gap.side(space).own_first),
            "best": space == gap.winner,
        }
        for space, said in _SIDES
    ]
    _figure(key="figure", data={"bars": bars})
    st.caption(basis(gap))


def headline(gap: Gap, method: str) -> str:
    """The figure as a sentence, which names the side that clearly wins."""
    mapped, raw = (share(side.own_first) for side in (gap.mapped, gap.raw))
    level = gap.mapped.own_first == gap.raw.own_first
    if method == "raw" and level:
        return (
            f"{raw} of pictures find their own caption first; no map was better than none, so "
            "there is none"
        )
    without = "hubs taken off" if method == "raw" else "the map"
    said = f"{mapped} of pictures find their own caption first, {raw} without {without}"
    if gap.winner == "raw":
        return f"{said}: here plain CLIP is better"
    return said if gap.winner else f"{said}: no clear difference"


def versus(gap: Gap) -> str:
    """Both figures, short."""
    return f"{share(gap.mapped.own_first)} with the map, {share(gap.raw.own_first)} without"


def basis(gap: Gap) -> str:
    """What was measured on, and whether the map knew it."""
    said = (
        f"{on_collection(gap).sentence} Measured on {gap.pictures:,} pictures and "
        f"{gap.own:,} captions of theirs among {gap.others:,} others"
    )
    if gap.fitted:
        return f"{said}; the map was fitted on some of these pairs, so its figures flatter it."
    return f"{said}; the map was fitted on none of them."


def share(value: float) -> str:
    """A share as it is written on the whole page."""
    return f"{value:.0%}".replace("%", " %")
