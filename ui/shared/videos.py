"""A video as it is played in a page, from one of its shots on."""

from __future__ import annotations

from math import ceil
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
        start_time=begins(clip.start, clip.end),
        end_time=max(begins(clip.start, clip.end) + 1, round(clip.end)),
        width=width,
    )
    st.caption(f"From {clock(clip.start)} to {clock(clip.end)}")


def begins(start: float, end: float) -> int:
    """The first whole second of a shot, as players here know no others; before it, if it has none.

    A second too early would show what is seen before it.
    """
    first = ceil(start)
    return first if first < end else int(start)


def video_address(collection: str, picture: str) -> str:
    """Where the API hands out the video that a picture is a shot of."""
    here = urlsplit(st.context.url or "")
    at = f"/api/v1/collections/{quote(collection)}/pictures/{quote(picture)}/video"
    return f"{here.scheme or 'http'}://{here.netloc or 'localhost'}{at}"
