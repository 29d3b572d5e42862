"""How pictures, and text that nobody vouches for, are shown on every page."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import streamlit as st
from PIL import Image, ImageOps

from engine.errors import UnreadableImage
from ui.resources import engine

_MARKUP = re.compile(r"([!-/:-@\[-`{-~])")
_LINKS = re.compile(r"(?i)(?<=https):(?=//)|(?<=http):(?=//)|(?<=www)\.|@")
_JOINER = "\u2060"
_GAP = re.compile(r"\s+")


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
    """The text for places that read Markdown (labels, errors): shown as it is, on one line."""
    unlinked = _LINKS.sub(lambda found: found[0] + _JOINER, _GAP.sub(" ", text))
    return _MARKUP.sub(r"\\\1", unlinked)


def plain(text: str) -> None:
    """Show text that nobody vouches for: nothing in it is read as Markdown or HTML."""
    st.markdown(escaped(text))


def thumbnail(uri: str | Path, side: int) -> bytes:
    """A collection's picture as WebP of at most `side` pixels; grey where it cannot be read.

    Only for addresses that an index gave back, never for what a visitor typed.
    """
    path = Path(uri)
    try:
        status = path.stat()
    except (OSError, ValueError):
        return _grey(side)
    return _shrunk_file(path, status.st_mtime_ns, status.st_size, side)


@lru_cache(maxsize=4096)
def _shrunk_file(path: Path, changed: int, size: int, side: int) -> bytes:
    del changed, size  # part of what is remembered
    try:
        return shrunk(engine().open_picture(path).image, side)
    except UnreadableImage:
        return _grey(side)


def shrunk(image: Image.Image, side: int) -> bytes:
    """An RGB picture as WebP of at most `side` pixels."""
    image = ImageOps.contain(image, (side, side)) if max(image.size) > side else image
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=80)
    return buffer.getvalue()


@lru_cache
def _grey(side: int) -> bytes:
    return shrunk(Image.new("RGB", (side, side), "#888888"), side)


def picture_grid(cards: Sequence[Card], *, key: str, columns_min_px: int = 160) -> str | None:
    """Show pictures as one grid of buttons; the id of the one that was clicked in this run."""
    shown = [
        asdict(card) | {"image": base64.b64encode(card.image).decode(), "marked": list(card.marked)}
        for card in cards
    ]
    result = _GRID(
        key=key, data={"cards": shown, "columns": columns_min_px}, on_clicked_change=_nothing
    )
    clicked = result.get("clicked")
    return clicked if any(card.id == clicked for card in cards) else None


def _nothing() -> None:
    """A trigger needs something to call; the value itself is what counts."""


_GRID = st.components.v2.component(
    "mrag_picture_grid",
    html="<ul></ul>",
    css=(Path(__file__).parent / "grid.css").read_text(encoding="utf-8"),
    js=(Path(__file__).parent / "grid.js").read_text(encoding="utf-8"),
)
