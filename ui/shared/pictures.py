"""How pictures, and text that nobody vouches for, are shown on every page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import streamlit as st

from engine.legible import legible
from ui.shared.components import as_text, component, nothing
from ui.shared.resources import thumbnails

_MARKUP = re.compile(r"([!-/:-@\[-`{-~])")
_LINKS = re.compile(r"(?i)(?<=https):(?=//)|(?<=http):(?=//)|(?<=www)\.|@")
_JOINER = "\u2060"
_GAP = re.compile(r"[ \t\r\n]+")

_grid = component(
    "grid",
    '<ul></ul><div class="bar" hidden><span role="status"></span>'
    '<button type="button">Find more</button><button type="button">Clear</button></div>',
    buttons=True,
)


@dataclass(frozen=True)
class Picking:
    """Several pictures are being chosen, of what `of` names: in other pictures none are.

    `tell` is told of those, by id, that were chosen as examples, and of what they are not to be.
    """

    of: str
    tell: Callable[[Sequence[str], Sequence[str]], None]


@dataclass(frozen=True)
class Card:
    """A picture of a grid: `marked` are the words of its caption to be marked."""

    id: str
    image: bytes
    caption: str
    score: str = ""
    note: str = ""
    marked: tuple[str, ...] = ()


def escaped(text: str) -> str:
    """The text for places that read Markdown (labels, errors): shown as it is, on one line.

    An invisible joiner keeps addresses in it from becoming links.
    """
    unlinked = _LINKS.sub(lambda found: found[0] + _JOINER, legible(_GAP.sub(" ", text)))
    return _MARKUP.sub(r"\\\1", unlinked)


def plain(text: str) -> None:
    """Show text that nobody vouches for: nothing in it is read as Markdown or HTML."""
    st.markdown(escaped(text))


def thumbnail(uri: str | Path, side: int) -> bytes:
    """A collection's picture as WebP of at most `side` pixels; grey where it cannot be read.

    Only for addresses that an index gave back, never for what a visitor typed.
    """
    return thumbnails().get([str(uri)], side)[0]


def picture_grid(
    cards: Sequence[Card],
    *,
    key: str,
    columns_min_px: int = 160,
    captions: bool = True,
    picking: Picking | None = None,
) -> str | None:
    """Show pictures as one grid of buttons; the id of the one that was clicked in this run.

    Without `captions` it is one row of pictures; their captions are still their alternatives.
    With `picking` several can be chosen as examples.
    """
    shown = [
        {
            **asdict(card),
            "image": as_text(card.image),
            "caption": legible(card.caption),
            "note": legible(card.note),
            "marked": list(card.marked),
        }
        for card in cards
    ]
    data = {"cards": shown, "columns": columns_min_px, "captions": captions}
    data["picking"] = picking.of if picking else ""
    said = _grid(key=key, data=data, on_clicked_change=nothing, on_picked_change=nothing)
    if picking and (picked := said.get("picked")):
        picking.tell(picked["like"], picked["unlike"])
    return next((card.id for card in cards if card.id == said.get("clicked")), None)
