"""The page Compare: one query, raw beside mapped, and the gap that the map closes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

import streamlit as st

from engine.app import Collection
from engine.compare.comparison import Comparison
from engine.compare.gap import Gap
from engine.compare.verdict import on_query
from engine.errors import CollectionMissing, InvalidInput, UnreadableImage
from engine.images import SUFFIXES, Picture
from engine.types import TRAINING_SPLITS, CaptionHit, Filters, ImageHit
from ui.compare.gap_charts import show_gap
from ui.compare.rankings import show_rankings
from ui.describe.results import announce
from ui.shared.pictures import Card, picture_grid
from ui.shared.resources import engine, thumbnails
from ui.shared.shell import await_models, chosen, errors_shown

_SAMPLES = 5
_SAMPLE_SIDE = 160
_BY_PICTURE, _BY_WORDS = "a picture", "words"
_CAPTIONS, _PICTURES = "captions", "pictures"
_PICKED = "picture"
"""In the address: the id of the collection's picture that is asked about."""
_NEXT, _SAMPLES_FROM, _ANSWERED = "compare next", "compare samples from", "compare answered"
_WAITING_HEIGHT = 600


def page() -> None:
    """The whole page."""
    st.title("Raw beside mapped")
    collection = chosen()
    spoken = st.container()
    said = ""
    with errors_shown():
        st.caption(
            "Raw is CLIP as it is; mapped is CLIP carried across the gap between pictures and "
            f"words by this collection's map (method: {collection.alignment.method})."
        )
        sought, find, k = _asked(collection)
        if sought:
            said = _show(collection, sought, find, k)
    with spoken:
        announce(said)


def _asked(collection: Collection) -> tuple[str | Picture | None, str, int]:
    """What is looked for, what is to be found, and how many."""
    clicked = st.session_state.pop(_NEXT, None)
    if clicked:
        st.session_state["by"], st.query_params[_PICKED] = _BY_PICTURE, clicked
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        by = _one_of("Ask with", [_BY_PICTURE, _BY_WORDS], "by", given=bool(clicked))
        find = _one_of("Find", [_CAPTIONS, _PICTURES], "find") if by == _BY_PICTURE else _PICTURES
        k = st.slider("How many", 3, 20, 5, key="k", bind="query-params", width=240)
    samples = _samples(collection)
    return _words(samples) if by == _BY_WORDS else _picture(collection, samples), find, k


def _one_of(label: str, options: Sequence[str], key: str, *, given: bool = False) -> str:
    """One of the options, the first by default; `given`: this run has set it already."""
    picked = st.segmented_control(
        label,
        options,
        default=None if given else options[0],
        required=True,
        key=key,
        bind="query-params",
    )
    return picked or options[0]


def _samples(collection: Collection) -> list[ImageHit]:
    """Pictures to try: ones that the map was not fitted on, if there are any."""
    images, unseen = collection.images, Filters(not_splits=TRAINING_SPLITS)
    among = unseen if images.count(unseen) else Filters()
    start = st.session_state.get(_SAMPLES_FROM, 0) % max(1, images.count(among))
    return images.get(list(islice(images.ids(among), start, start + _SAMPLES)))


def _words(samples: Sequence[ImageHit]) -> str:
    known = next((hit.captions[0] for hit in samples if hit.captions), "")
    said = st.text_input("Words", known, key="words", bind="query-params", max_chars=1000)
    if not (said or "").strip():
        st.info("Type what the pictures should show.")
    return (said or "").strip()


def _picture(collection: Collection, samples: Sequence[ImageHit]) -> Picture | None:
    """The picture that was given last: dropped, or picked from the collection."""
    giving, trying = st.columns([2, 3], gap="medium")
    with giving:
        file = st.file_uploader(
            "A picture of yours",
            sorted(suffix[1:] for suffix in SUFFIXES),
            key="compare file",
            max_upload_size=max(1, engine().settings.max_image_bytes // 2**20),
            on_change=_unpick,
        )
    with trying:
        _pick(samples)
    picked = st.query_params.get(_PICKED, "")
    if file is not None and not picked:
        return engine().open_picture(file.getvalue())
    found = _stored(collection, picked) or samples
    if not found:
        st.info("There are no pictures in this collection. Give one of yours.")
        return None
    return _opened(Path(found[0].uri))


def _opened(path: Path) -> Picture:
    try:
        return engine().open_picture(path)
    except UnreadableImage as error:
        raise UnreadableImage(
            f"{path.name} of this collection cannot be read; choose another picture, or ingest "
            "its folder again if it has been moved or removed"
        ) from error


def _pick(samples: Sequence[ImageHit]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("Or one of the collection:")
        st.button("Others", type="tertiary", on_click=_turn_samples)
    images = thumbnails().get([hit.uri for hit in samples], _SAMPLE_SIDE)
    cards = [
        Card(hit.id, image, next(iter(hit.captions), ""))
        for hit, image in zip(samples, images, strict=True)
    ]
    clicked = picture_grid(cards, key="compare samples", columns_min_px=88, captions=False)
    if clicked:
        st.query_params[_PICKED] = clicked


def _unpick() -> None:
    st.query_params.pop(_PICKED, None)


def _turn_samples() -> None:
    st.session_state[_SAMPLES_FROM] = st.session_state.get(_SAMPLES_FROM, 0) + _SAMPLES


def _stored(collection: Collection, picked: str) -> list[ImageHit]:
    """The picture of this id; none where the address names one that is not, or no longer, here."""
    try:
        return collection.images.get([picked]) if picked else []
    except InvalidInput:
        return []


def _show(collection: Collection, sought: str | Picture, find: str, k: int) -> str:
    """Show both sides and the gap; the sentence that says who wins."""
    compared: Comparison[CaptionHit] | Comparison[ImageHit]
    # The first comparison may have to wait for models; later ones leave in place what they replace.
    first = not st.session_state.get(_ANSWERED)
    st.session_state[_ANSWERED] = True
    await_models(collection.card.name)
    with st.skeleton(_WAITING_HEIGHT) if first else nullcontext():
        if isinstance(sought, Picture) and find == _CAPTIONS:
            compared = collection.compare(sought, k)
        else:
            compared = collection.compare_pictures(sought, k)
        gap = _gap(collection)
    if not compared.raw and not compared.mapped:
        st.info("There are no pictures in this collection that could be found.")
        return ""
    verdict = on_query(compared, gap, collection.alignment.method)
    clicked = show_rankings(compared, verdict, sought, key="rankings")
    if clicked:
        st.session_state[_NEXT] = clicked
        st.rerun()
    if gap is not None:
        show_gap(gap, compared.query)
    return verdict.sentence


def _gap(collection: Collection) -> Gap | None:
    """None for a collection of captions alone, or of pictures alone."""
    try:
        return collection.gap()
    except CollectionMissing:
        return None


page()
