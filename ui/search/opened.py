"""A picture of the collection, opened large: its captions, what is known of it, more like it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import streamlit as st

from engine.app import Collection
from engine.types import ImageHit
from ui.search.panel import current, forget_upload, go, more_like
from ui.shared.pictures import escaped, thumbnail

_SIDE = 1280
_HEIGHT = 560
_MAGNIFIED = 2


def _close() -> None:
    go(replace(current(), picture=""))


@st.dialog("Picture", width="large", on_dismiss=_close)
def show_opened(id_: str, collection: Collection) -> None:
    """Show the picture of this id over the page."""
    found = collection.images.get([id_])
    if not found:
        st.warning(
            "This collection has no such picture. It may have been removed, or be in another "
            "collection: close this and search for it."
        )
        return
    hit = found[0]
    alt = next(iter(hit.captions), "A picture without a caption")
    large, about = st.columns([2, 1], gap="medium")
    large.container(horizontal_alignment="center").image(
        thumbnail(hit.uri, _SIDE), width=_width(hit), alt=alt
    )
    told = "\n".join(f"- {escaped(caption)}" for caption in hit.captions)
    if not Path(hit.uri).is_file():
        about.warning(
            "The picture's file has been moved or removed. Ingest its folder again to have the "
            "collection follow."
        )
    about.markdown(told or "It has no captions yet.")
    about.caption(escaped(_facts(hit)))
    if about.button("More like this", icon=":material/image_search:", type="primary"):
        forget_upload()
        go(more_like(id_))
        st.rerun()


def _width(hit: ImageHit) -> int:
    """Pixels across at which the picture fits the screen, small pictures not blown up."""
    width, height = hit.payload["width"], hit.payload["height"]
    return max(1, int(width * min(_HEIGHT / height, _MAGNIFIED)))


def _facts(hit: ImageHit) -> str:
    about = hit.payload
    taken = about["taken_at"]
    facts = [
        Path(hit.uri).name,
        f"{about['width']} × {about['height']} pixels",
        f"taken {datetime.fromisoformat(taken):%Y-%m-%d %H:%M}" if taken else "",
        f"split {about['split']}" if about["split"] else "",
        "captions by a model" if about["source"] == "generated" else "",
        f"tags {', '.join(about['tags'])}" if about["tags"] else "",
    ]
    return " · ".join(fact for fact in facts if fact)
