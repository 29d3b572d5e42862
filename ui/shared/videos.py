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
    st.video(
        video_address(collection, picture),
        start_time=int(clip.start),
        end_time=max(int(clip.start) + 1, round(clip.end)),
        width=width,
    )
    st.caption(f"From {clock(clip.start)} to {clock(clip.end)}")


def video_address(collection: str, picture: str) -> str:
    """Where the API hands out the video that a picture is a shot of."""
    here = urlsplit(st.context.url or "")
    at = f"/api/v1/collections/{quote(collection)}/pictures/{quote(picture)}/video"
    return f"{here.scheme or 'http'}://{here.netloc or 'localhost'}{at}"
