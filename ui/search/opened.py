"""A picture of the collection, opened large: its captions, what is known of it, what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import streamlit as st

from engine.app import Collection
from engine.types import ImageHit
from engine.video.address import Clip, file_at, shown_place
from ui.describe.intake import hand_over
from ui.search.found import Page
from ui.search.panel import current, forget_upload, go, more_like, remember
from ui.shared.corrections import show_corrections, show_learned
from ui.shared.pictures import Card, escaped, picture_grid, thumbnail
from ui.shared.places import may
from ui.shared.resources import thumbnails
from ui.shared.shell import page_file
from ui.shared.videos import show_shot, video_address

_SIDE = 1280
_WIDTH, _HEIGHT = 720, 520
_MAGNIFIED = 4
_COPIES, _SMALL = 12, 120


def _close() -> None:
    go(replace(current(), picture=""))


@st.dialog("Picture", width="large", on_dismiss=_close)
def show_opened(collection: Collection, page: Page | None) -> None:
    """Show the picture that the address names over the page, and those beside it in the page."""
    # Turning from one picture to the next runs this alone: what it shows is in the address.
    remember(collection.card.name, current())
    id_ = current().picture
    found = collection.images.get([id_])
    if not found:
        st.warning(
            "This collection has no such picture. It may have been removed, or be in another "
            "collection: close this and search for it."
        )
        return
    hit = found[0]
    alt = next(iter(hit.captions), "A picture without a caption")
    large, about = st.columns([3, 2], gap="medium")
    with large.container(horizontal_alignment="center"):
        if (clip := Clip.at(hit.uri)) and clip.file.is_file():
            show_shot(collection.card.name, hit.id, clip, _WIDTH)
        else:
            st.image(thumbnail(hit.uri, _SIDE), width=_width(hit), alt=alt)
        if page is not None and id_ in [one.id for one in page.hits]:
            _turning(id_, page)
    with about:
        _about(hit)
        _actions(hit, collection)
        show_corrections(collection, hit.id)
        show_learned(collection)
        _copies(hit, collection)


def _about(hit: ImageHit) -> None:
    if not file_at(hit.uri).is_file():
        st.warning(
            f"The {'video' if Clip.at(hit.uri) else 'picture'}'s file has been moved or removed. "
            "Ingest its folder again to have the collection follow."
        )
    if hit.payload["title"]:
        st.markdown(f"**{escaped(hit.payload['title'])}**")
    told = "\n".join(f"- {escaped(caption)}" for caption in hit.captions)
    st.markdown(told or "It has no captions yet.")
    st.caption(_facts(hit))


def _turning(id_: str, page: Page) -> None:
    """The ways to the pictures before and after, by key also."""
    now, ids = current(), [one.id for one in page.hits]
    at = ids.index(id_)
    first, last = at == 0, at == len(ids) - 1
    former = page.before if first else ids[at - 1]
    later = page.after if last else ids[at + 1]
    steps = (
        ("Previous", "chevron_left", "Left", former, -1 if first else 0),
        ("Next", "chevron_right", "Right", later, 1 if last else 0),
    )
    with st.container(
        key="turning",
        horizontal=True,
        vertical_alignment="center",
        horizontal_alignment="center",
    ):
        for label, icon, key, there, step in steps:
            turned = st.button(
                label,
                key=f"opened {label}",
                icon=f":material/{icon}:",
                shortcut=key,
                disabled=not there,
                on_click=partial(go, replace(now, picture=there, page=now.page + step)),
            )
            if turned and step:
                st.rerun()  # the page below is turned as well
        st.caption(f"Picture {now.offset + at + 1}", width="content")


def _actions(hit: ImageHit, collection: Collection) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("More like this", icon=":material/image_search:", type="primary"):
            forget_upload()
            go(more_like(hit.id))
            st.rerun()
        if st.button("Describe", icon=":material/notes:"):
            hand_over(hit)
            # No parameters, not None: that would take out the collection, which a widget holds.
            st.switch_page(page_file("Describe"), query_params={})
        if st.button("Ask about it", icon=":material/help:"):
            st.switch_page(page_file("Ask"), query_params={"about": hit.id})
        if st.button("Compare", icon=":material/compare_arrows:"):
            st.switch_page(page_file("Compare"), query_params={"picture": hit.id})
        if Clip.at(hit.uri):  # it may be larger than what is held in memory
            at = video_address(collection.card.name, hit.id)
            st.link_button("Whole video", at, icon=":material/movie:")
            return
        path = Path(hit.uri)
        st.download_button(
            "Download",
            path.read_bytes,  # not before it is asked for
            path.name,
            "application/octet-stream",
            icon=":material/download:",
            on_click="ignore",
            disabled=not path.is_file(),
        )


def _copies(hit: ImageHit, collection: Collection) -> None:
    """Pictures that show the same, of which a search finds one alone."""
    found = collection.images.get(collection.copies.beside(hit.id)[:_COPIES])
    if not found:
        return
    st.caption("Copies of it here, which searches leave out:")
    images = thumbnails().get([one.uri for one in found], _SMALL)
    cards = [
        Card(one.id, image, f"{shown_place(Path(one.uri).name)}, {_size(one)}")
        for one, image in zip(found, images, strict=True)
    ]
    if clicked := picture_grid(cards, key="copies", columns_min_px=_SMALL):
        go(replace(current(), picture=clicked))
        st.rerun(scope="fragment")


def _size(hit: ImageHit) -> str:
    return f"{hit.payload['width']} × {hit.payload['height']} pixels"


def _width(hit: ImageHit) -> int:
    """Pixels across at which the picture fills its room, small ones not blown up to a blur."""
    width, height = hit.payload["width"], hit.payload["height"]
    return max(1, int(min(_WIDTH, width * _HEIGHT / height, width * _MAGNIFIED)))


def _facts(hit: ImageHit) -> str:
    """What is known of it, line by line: its file, when and where it was taken, and with what."""
    about = hit.payload
    taken = about["taken_at"]
    of_file = [
        shown_place(Path(hit.uri).name),
        f"{about['width']} × {about['height']} pixels",
        f"split {about['split']}" if about["split"] else "",
        "captions by a model" if about["source"] == "generated" else "",
        f"tags {', '.join(about['tags'])}" if about["tags"] else "",
        f"labels {', '.join(about['labels'])}" if about["labels"] else "",
        f"rated {_rating(about['rating'])}" if about["rating"] else "",
    ]
    of_moment = [
        f"taken {datetime.fromisoformat(taken):%Y-%m-%d %H:%M}" if taken else "",
        ", ".join(about["places"]),
        _coordinates(about["location"]),
    ]
    lines = (of_file, of_moment, [about["camera"], about["lens"]])
    told = (" · ".join(filter(None, line)) for line in lines)
    return "  \n".join(escaped(line) for line in told if line)


def _rating(stars: int) -> str:
    return "as rejected" if stars < 0 else f"{stars} of 5"


def _coordinates(place: Mapping[str, float] | None) -> str:
    """Where on the globe it was taken, to those who may know where its file lies."""
    if place is None or not may("admin"):
        return ""
    return f"{place['lat']:.5f}, {place['lon']:.5f}"
