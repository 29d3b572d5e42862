"""Our own elements for the browser: each a script and a style sheet in `frontend/`.

They get data as JSON and put it into the page as text or as the bytes of a picture, never as
HTML: captions and file names are untrusted.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

_FRONTEND = Path(__file__).parent / "frontend"


def component(
    name: str, html: str, *, isolated: bool = True, buttons: bool = False
) -> ComponentRenderer:
    """The element whose script and style are named so; `isolated`: in a shadow root.

    `buttons`: it has some, which look as all of ours do where its own style says nothing else.
    """
    styles = ["button", name] if buttons else [name]
    return st.components.v2.component(
        f"mrag_{name}",
        html=html,
        css="".join((_FRONTEND / f"{one}.css").read_text(encoding="utf-8") for one in styles),
        js=(_FRONTEND / f"{name}.js").read_text(encoding="utf-8"),
        isolate_styles=isolated,
    )


def as_text(image: bytes) -> str:
    """A picture's bytes as an element takes them."""
    return base64.b64encode(image).decode("ascii")


def nothing() -> None:
    """For triggers whose value is all that counts: they must be given something to call."""
