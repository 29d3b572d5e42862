"""A video as it is played in a page, from one of its shots on."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import streamlit as st

from engine.video.address import Clip, clock


def show_shot(collection: str, picture: str, clip: Clip, width: int) -> None:
    """The video that a picture of a collection is a shot of, played from there to its end.

    It comes from the API, which hands out the part that a player asks for, to those who may see it:
    Streamlit would hold all of it in memory.
    """
    here = urlsplit(st.context.url or "")
    at = f"/api/v1/collections/{quote(collection)}/pictures/{quote(picture)}/video"
    st.video(
        f"{here.scheme or 'http'}://{here.netloc or 'localhost'}{at}",
        start_time=int(clip.start),
        end_time=max(int(clip.start) + 1, round(clip.end)),
        width=width,
    )
    st.caption(f"From {clock(clip.start)} to {clock(clip.end)}")
