"""Groups of duplicates: their pictures side by side, with what tells them apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import streamlit as st

from engine.footprint import readable
from mrag_client.models import DuplicateFile, DuplicateGroup, DuplicatePicture
from ui.shared.pictures import escaped
from ui.shared.places import may
from ui.shared.resources import thumbnails
from ui.shared.shell import page_file

_SIDE = 256
_WIDTH, _HEIGHT = 232, 180
_SHOWN = 8
"""Pictures of a group, and files of a picture, that are shown; the list has all."""


def show_groups(groups: Sequence[DuplicateGroup], *, begin: int) -> None:
    """Show groups, numbered from `begin`."""
    shown = [one for group in groups for one in group.pictures[:_SHOWN]]
    images = thumbnails().get([one.files[0].path if one.files else "" for one in shown], _SIDE)
    image_of = dict(zip((one.id for one in shown), images, strict=True))
    for number, group in enumerate(groups, begin):
        with st.container(border=True):
            what = "of the same bytes" if len(group.pictures) == 1 else "that look the same"
            st.subheader(f"{number}. {group.files:,} files {what}", anchor=False)
            st.caption(f"Without copies {readable(group.spare)} less")
            with st.container(horizontal=True, gap="medium"):
                for picture in group.pictures[:_SHOWN]:
                    with st.container(width=_WIDTH):
                        _show(picture, image_of[picture.id], group)
            if (more := len(group.pictures) - _SHOWN) > 0:
                st.caption(f"and {more:,} more pictures, which are in the list to take away")


def _show(picture: DuplicatePicture, image: bytes, group: DuplicateGroup) -> None:
    name = Path(picture.files[0].path).name if picture.files else "a picture"
    width = max(1, min(_WIDTH, _HEIGHT * picture.width // picture.height))
    st.image(image, width=width, alt=picture.caption or name)
    st.markdown("\n".join(f"- {line}" for line in _lines(picture, group)))
    if st.button("Open", key=f"open {picture.id}", help=f"Open {escaped(name)} in the search"):
        st.switch_page(page_file("Search"), query_params={"picture": picture.id})


def _lines(picture: DuplicatePicture, group: DuplicateGroup) -> Iterator[str]:
    """What is known of a picture; what is not so of the one to keep stands out."""
    kept = group.pictures[0]
    alone = len(group.pictures) == 1
    for at, file in enumerate(picture.files[:_SHOWN]):
        sign = ":green-badge[keep] " if picture.keep and not at else ""
        yield f"{sign}{escaped(_place(file))}{'' if file.there else ' :orange[(gone)]'}"
    if (more := len(picture.files) - _SHOWN) > 0:
        yield f"and {more:,} more files"
    facts = zip(_facts(picture), _facts(kept), strict=True)
    for mine, theirs in facts:
        if mine:
            yield mine if alone or picture is kept or mine == theirs else f"**{mine}**"


def _facts(picture: DuplicatePicture) -> tuple[str, ...]:
    taken = picture.taken_at
    return (
        f"{picture.width:,} × {picture.height:,} pixels",
        readable(picture.files[0].bytes) if picture.files else "",
        f"taken {taken:%Y-%m-%d %H:%M}" if taken else "",
        escaped(", ".join(picture.places)),
        escaped(picture.caption),
    )


def _place(file: DuplicateFile) -> str:
    """The file; where it lies is told to those alone who may know it."""
    return file.path if may("admin") else Path(file.path).name
