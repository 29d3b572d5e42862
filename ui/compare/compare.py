"""The page Compare: what the map is worth here, one query with and without it, and the gap."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice

import streamlit as st

from engine.app import Collection
from engine.compare.comparison import Comparison
from engine.compare.gap import Gap
from engine.compare.verdict import on_query
from engine.errors import CollectionMissing, InvalidInput, MragError
from engine.images import SUFFIXES, Picture
from engine.types import TRAINING_SPLITS, CaptionHit, Filters, ImageHit
from ui.compare.figure import show_figure, versus
from ui.compare.gap_charts import show_gap
from ui.compare.rankings import show_rankings
from ui.describe.results import announce
from ui.shared.pictures import Card, escaped, picture_grid
from ui.shared.resources import engine, thumbnails
from ui.shared.shell import await_models, choose, chosen, errors_shown

_LOOKED_AT = 8
"""Other collections that are asked whether the map makes a difference there."""
_SAMPLES = 6
_SAMPLE_SIDE = 160
_BY_PICTURE, _BY_WORDS = "a picture", "words"
_CAPTIONS, _PICTURES = "captions", "pictures"
_PICKED = "picture"
"""In the address: the id of the collection's picture that is asked about."""
_NEXT, _SAMPLES_FROM = "compare next", "compare samples from"


def page() -> None:
    """The whole page."""
    st.title("With and without the map")
    collection = chosen()
    spoken = st.container()
    said = ""
    with errors_shown():
        st.caption(
            "CLIP puts pictures and words into one space, but apart from each other: the modality "
            "gap. A linear map, fitted in closed form, carries pictures across it to the words."
        )
        gap = _gap(collection)
        show_figure(gap, collection.alignment.method)
        if gap is None or gap.winner is None:
            _point_elsewhere(collection.card.name)
        sought, find, k = _asked(collection, gap)
        if sought:
            said = _show(collection, sought, find, k, gap)
    with spoken:
        announce(said)


def _point_elsewhere(here: str) -> None:
    """A way to a collection where the map clearly makes a difference, where there is one."""
    others = (name for name in engine().names() if name != here)
    for name in islice(others, _LOOKED_AT):
        with suppress(MragError):
            gap = engine().open(name).gap()
            if gap.winner is not None:
                st.button(
                    f"A clear difference: {escaped(name)}, {versus(gap)}",
                    icon=":material/compare:",
                    on_click=_go_to,
                    args=(name,),
                )
                return


def _go_to(name: str) -> None:
    st.query_params.pop(_PICKED, None)
    choose(name)


def _asked(
    collection: Collection, gap: Gap | None
) -> tuple[str | Picture | ImageHit | None, str, int]:
    """What is looked for, what is to be found, and how many."""
    clicked = st.session_state.pop(_NEXT, None)
    if clicked:
        st.session_state["by"], st.query_params[_PICKED] = _BY_PICTURE, clicked
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        by = _one_of("Ask with", [_BY_PICTURE, _BY_WORDS], "by", given=bool(clicked))
        find = _one_of("Find", [_CAPTIONS, _PICTURES], "find") if by == _BY_PICTURE else _PICTURES
        k = st.slider("How many", 3, 20, 5, key="k", bind="query-params", width=240)
    telling = gap.telling if gap else ()
    samples = _samples(collection, telling)
    if by == _BY_WORDS:
        return _words(samples), find, k
    return _picture(collection, samples, telling), find, k


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


def _samples(collection: Collection, telling: Sequence[str]) -> list[ImageHit]:
    """Pictures to try: those whose answer the map changes, then ones that it was not fitted on."""
    images, unseen = collection.images, Filters(not_splits=TRAINING_SPLITS)
    among = unseen if images.count(unseen) else Filters()
    others = (id_ for id_ in images.ids(among) if id_ not in telling)
    start = st.session_state.get(_SAMPLES_FROM, 0)
    shown = telling[start : start + _SAMPLES]
    begun = start - _SAMPLES * -(-len(telling) // _SAMPLES)  # what the map changes has its own rows
    ids = list(shown or islice(others, begun, begun + _SAMPLES))
    if not ids and start:  # all have been seen
        st.session_state[_SAMPLES_FROM] = 0
        return _samples(collection, telling)
    return images.get(ids, with_vectors=True)


def _words(samples: Sequence[ImageHit]) -> str:
    known = next((hit.captions[0] for hit in samples if hit.captions), "")
    said = st.text_input("Words", known, key="words", bind="query-params", max_chars=1000)
    if not (said or "").strip():
        st.info("Type what the pictures should show.")
    return (said or "").strip()


def _picture(
    collection: Collection, samples: Sequence[ImageHit], telling: Sequence[str]
) -> Picture | ImageHit | None:
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
        _pick(samples, telling)
    picked = st.query_params.get(_PICKED, "")
    if file is not None and not picked:
        return engine().open_picture(file.getvalue())
    found = _stored(collection, picked) or _stored(collection, telling[0] if telling else "")
    found = found or list(samples)
    if not found:
        st.info("There are no pictures in this collection. Give one of yours.")
        return None
    return found[0]


def _pick(samples: Sequence[ImageHit], telling: Sequence[str]) -> None:
    changed = bool(samples) and samples[-1].id in telling
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("Or one where the map changes the answer:" if changed else "Or one of these:")
        st.button("Others", type="tertiary", on_click=_turn_samples)
    images = thumbnails().get([hit.uri for hit in samples], _SAMPLE_SIDE)
    cards = [
        Card(hit.id, image, next(iter(hit.captions), ""))
        for hit, image in zip(samples, images, strict=True)
    ]
    clicked = picture_grid(cards, key="compare samples", columns_min_px=72, captions=False)
    if clicked:
        st.query_params[_PICKED] = clicked


def _unpick() -> None:
    st.query_params.pop(_PICKED, None)


def _turn_samples() -> None:
    st.session_state[_SAMPLES_FROM] = st.session_state.get(_SAMPLES_FROM, 0) + _SAMPLES


def _stored(collection: Collection, picked: str) -> list[ImageHit]:
    """The picture of this id; none where the address names one that is not, or no longer, here."""
    try:
        return collection.images.get([picked], with_vectors=True) if picked else []
    except InvalidInput:
        return []


def _show(
    collection: Collection, sought: str | Picture | ImageHit, find: str, k: int, gap: Gap | None
) -> str:
    """Show both sides and the gap; the sentence that says who wins."""
    compared: Comparison[CaptionHit] | Comparison[ImageHit]
    # Pictures of the collection have their vectors: only for others models must be there.
    if not isinstance(sought, ImageHit):
        await_models(collection.card.name)
    if not isinstance(sought, str) and find == _CAPTIONS:
        compared = collection.compare(sought, k)
    else:
        compared = collection.compare_pictures(sought, k)
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
        with st.spinner("Measuring how far pictures and captions lie apart here (once) …"):
            return collection.gap()
    except CollectionMissing:
        return None


page()
