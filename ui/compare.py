"""The page Compare: one query, raw beside mapped, and the gap that the map closes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path

import streamlit as st

from engine.app import Collection
from engine.comparison import Comparison
from engine.images import SUFFIXES, Picture
from engine.types import TRAINING_SPLITS, CaptionHit, Filters, ImageHit
from engine.verdict import on_query
from ui.gap_charts import show_gap
from ui.pictures import Card, picture_grid
from ui.rankings import show_rankings
from ui.resources import engine, thumbnails
from ui.shell import chosen, errors_shown

_SAMPLES = 6
_SAMPLE_SIDE = 160
_PICTURE, _WORDS = "a picture", "words"
_CAPTIONS, _PICTURES = "captions", "pictures"
_PICKED, _NEXT = "compare picked", "compare next"


def page() -> None:
    """The whole page."""
    st.title("Raw beside mapped")
    collection = chosen()
    _take_up_click()
    with errors_shown():
        st.caption(
            "Raw is CLIP as it is; mapped is CLIP carried across the gap between pictures and "
            f"words by this collection's map (method: {collection.alignment.method})."
        )
        samples = _samples(collection)
        by, find, k = _controls()
        sought = _words(samples) if by == _WORDS else _picture(collection, samples)
        if sought:
            _show(collection, sought, find, k)


def _controls() -> tuple[str, str, int]:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        by = st.segmented_control(
            "Ask with", [_PICTURE, _WORDS], default=_PICTURE, required=True, key="by",
            bind="query-params",
        )  # fmt: skip
        find = _PICTURES
        if by == _PICTURE:
            find = st.segmented_control(
                "Find", [_CAPTIONS, _PICTURES], default=_CAPTIONS, required=True, key="find",
                bind="query-params",
            )  # fmt: skip
        k = st.slider("How many", 3, 20, 5, key="k", bind="query-params", width=240)
    return by, find, k


def _samples(collection: Collection) -> list[ImageHit]:
    """Pictures to try: those that the map was not fitted on come first."""
    unseen = collection.images.ids(Filters(not_splits=TRAINING_SPLITS))
    ids = dict.fromkeys(islice(chain(unseen, collection.images.ids()), 2 * _SAMPLES))
    return collection.images.get(list(ids)[:_SAMPLES])


def _words(samples: Sequence[ImageHit]) -> str:
    known = next((hit.captions[0] for hit in samples if hit.captions), "")
    said = st.text_input("Words", known, key="words", bind="query-params", max_chars=1000)
    if not (said or "").strip():
        st.info("Type what the pictures should show.")
    return (said or "").strip()


def _picture(collection: Collection, samples: Sequence[ImageHit]) -> Picture | None:
    """The picture that was given last: dropped, or picked from the collection."""
    state = st.session_state
    giving, trying = st.columns([2, 3], gap="medium")
    with giving:
        limits = engine().settings.limits
        file = st.file_uploader(
            "A picture of yours",
            sorted(suffix[1:] for suffix in SUFFIXES),
            key="compare file",
            max_upload_size=max(1, limits.max_bytes // 2**20),
            on_change=state.pop,
            args=(_PICKED, None),
        )
    with trying:
        st.markdown("Or one of the collection:")
        clicked = _sample_grid(samples)
    if clicked:
        state[_PICKED] = clicked
    picked = state.get(_PICKED)
    if file is not None and not picked:
        return engine().open_picture(file.getvalue())
    found = collection.images.get([picked]) if picked else []
    if not (found or samples):
        st.info("There are no pictures in this collection. Give one of yours.")
        return None
    return engine().open_picture(Path((found or samples)[0].uri))


def _sample_grid(samples: Sequence[ImageHit]) -> str | None:
    images = thumbnails().get([hit.uri for hit in samples], _SAMPLE_SIDE)
    cards = [
        Card(hit.id, image, next(iter(hit.captions), ""))
        for hit, image in zip(samples, images, strict=True)
    ]
    return picture_grid(cards, key="compare samples", columns_min_px=88, captions=False)


def _show(collection: Collection, sought: str | Picture, find: str, k: int) -> None:
    compared: Comparison[CaptionHit] | Comparison[ImageHit]
    with st.spinner("Comparing"):
        if isinstance(sought, Picture) and find == _CAPTIONS:
            compared = collection.compare(sought, k)
        else:
            compared = collection.compare_pictures(sought, k)
        gap = collection.gap()
    verdict = on_query(compared, gap, collection.alignment.method)
    clicked = show_rankings(compared, verdict, sought, key="rankings")
    if clicked:
        st.session_state[_NEXT] = clicked
        st.rerun()
    show_gap(gap, compared.query, words=isinstance(sought, str))


def _take_up_click() -> None:
    """Ask with the picture that was clicked among the finds."""
    clicked = st.session_state.pop(_NEXT, None)
    if clicked:
        st.session_state[_PICKED] = clicked
        st.session_state["by"] = _PICTURE


page()
