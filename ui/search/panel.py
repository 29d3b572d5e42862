"""What the page Search is asked: its fields and its side panel, kept level with its address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import streamlit as st
from PIL.Image import Image
from streamlit.runtime.uploaded_file_manager import UploadedFile

from engine.app import Collection
from engine.errors import UnreadableImage
from engine.images import SUFFIXES
from engine.search.gallery import COSINE_SPACES
from engine.search.thumbnails import shrunk
from engine.types import Facets, SearchSpace
from ui.search.address import (
    CHOICES,
    MAX_WORDS,
    PAGE_SIZES,
    STRICTNESSES,
    SearchAddress,
    read_address,
    within,
)
from ui.shared.pictures import escaped, thumbnail
from ui.shared.resources import engine

_EXPLAINED: dict[SearchSpace, str] = {
    "mapped": "By meaning, pictures carried across the gap to the words.",
    "raw": "By meaning, as CLIP alone sees it.",
    "caption": "By the meaning of the pictures' captions.",
    "words": "By the very words of the captions; “−” does not count.",
    "fused": "Mapped, caption and words together, by rank; “−” does not count for the words.",
}
_ORDERED = tuple(_EXPLAINED)
_LABELS = {"source": "Captions by"}
_WIDGETS = ("q", "space", "strict", *CHOICES, "taken_from", "taken_until", "k")
_CHIP = 64
_ROUND, _OPENED = "search round", "search opened"


def current() -> SearchAddress:
    """What the address says now."""
    return read_address(st.query_params.get_all)[0]


def go(address: SearchAddress) -> None:
    """Show another search, as a step that the browser can take back."""
    st.query_params.update(address.parameters())


def more_like(id_: str) -> SearchAddress:
    """The search for more like a picture of the collection, with the filters of now."""
    now = current()
    space: SearchSpace = "mapped" if now.space == "words" else now.space
    return replace(now, q="", like=id_, space=space, page=1, picture="")


def forget_upload() -> None:
    """Take the uploaded picture out of the search."""
    st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1


def asked(facets: Facets) -> SearchAddress:
    """The search of the address, the fields set to it; says what in it cannot be used."""
    address, problems = read_address(st.query_params.get_all)
    address, unknown = within(address, facets)
    for problem in (*problems, *unknown):
        st.warning(escaped(problem))
    for name in _WIDGETS:
        value = getattr(address, name)
        value = list(value) if isinstance(value, tuple) else value
        if st.session_state.get(_key(name), ...) != value:
            st.session_state[_key(name)] = value
    return address


def words_field() -> None:
    """Where words are typed."""
    st.text_input(
        "What to look for",
        key=_key("q"),
        max_chars=MAX_WORDS,
        placeholder='a dog on the beach +snow -cat -"red car"',
        help="`+` before a word draws nearer to it, `-` moves away from it. "
        "Quotation marks keep words together.",
        icon=":material/search:",
        on_change=_changed,
    )


def picture_field() -> UploadedFile | None:
    """Where a picture is given."""
    settings = engine().settings
    with st.popover("Add a picture", icon=":material/add_photo_alternate:"):
        return st.file_uploader(
            "A picture to find others like it",
            sorted(suffix[1:] for suffix in SUFFIXES),
            key=f"search picture {st.session_state.get(_ROUND, 0)}",
            max_upload_size=max(1, settings.max_image_bytes // 2**20),
            help="With words, too: then both are looked for together.",
        )


def given_picture(file: UploadedFile | None) -> Image | None:
    """The picture that was given, shown small; raises UnreadableImage for a file that is none."""
    if file is None:
        return None
    image = _opened(file)
    told = f"{file.name}. It is not in the address: a shared link looks without it."
    _chip(shrunk(image, 2 * _CHIP), told, "the uploaded picture", forget_upload)
    return image


def like_field(address: SearchAddress, collection: Collection) -> None:
    """The picture of the collection whose like is looked for, and how to be rid of it."""
    for hit in collection.images.get([address.like] if address.like else []):
        told = f"Like this one: {next(iter(hit.captions), Path(hit.uri).name)}"
        _chip(
            thumbnail(hit.uri, 2 * _CHIP),
            told,
            "the picture to look like",
            partial(go, replace(address, like="", page=1)),
        )


def options(address: SearchAddress, facets: Facets) -> None:
    """The side panel: where to look, how strictly, and filters for what there is."""
    with st.sidebar:
        st.radio(
            "Where to look",
            _ORDERED,
            key=_key("space"),
            captions=list(_EXPLAINED.values()),
            on_change=_changed,
        )
        _strictness(address)
        for name, field in CHOICES.items():
            _choice(_LABELS.get(name, name.capitalize()), name, getattr(facets, field))
        _days(facets)
        st.selectbox("Pictures on a page", PAGE_SIZES, key=_key("k"), on_change=_changed)


def _strictness(address: SearchAddress) -> None:
    if address.space not in COSINE_SPACES:
        st.caption(
            f"No relevance threshold: scores of “{address.space}” are no likenesses, so nothing "
            "is hidden."
        )
        return
    st.select_slider(
        "Relevance threshold",
        STRICTNESSES,
        key=_key("strict"),
        format_func=lambda share: f"{share:g} %" if share else "show all",
        help="Pictures are hidden that score less than this share of pairs do that have nothing "
        "to do with each other, measured in this collection for this kind of search.",
        on_change=_changed,
    )


def _choice(label: str, name: str, counts: Mapping[str, int]) -> None:
    if counts:
        st.multiselect(
            label,
            list(counts),
            key=_key(name),
            format_func=lambda value: f"{value} ({counts[value]})",
            placeholder="any",
            on_change=_changed,
        )


def _days(facets: Facets) -> None:
    if facets.taken_from is None or facets.taken_until is None:
        return
    for label, name in (("Taken from", "taken_from"), ("Taken until", "taken_until")):
        st.date_input(
            label,
            value=None,
            min_value=facets.taken_from.date(),
            max_value=facets.taken_until.date(),
            key=_key(name),
            format="YYYY-MM-DD",
            on_change=_changed,
        )


def _changed() -> None:
    """Write into the address what the fields say."""
    said = {
        name: st.session_state[_key(name)] for name in _WIDGETS if _key(name) in st.session_state
    }
    said = {
        name: tuple(value) if isinstance(value, list) else value for name, value in said.items()
    }
    go(replace(current(), **said, page=1, picture=""))


def _key(name: str) -> str:
    return f"search {name}"


def _opened(file: UploadedFile) -> Image:
    """The uploaded picture, decoded once."""
    known: tuple[str, Image] | None = st.session_state.get(_OPENED)
    if known is None or known[0] != file.file_id:
        try:
            known = file.file_id, engine().open_picture(file.getvalue()).image
        except UnreadableImage as error:
            raise UnreadableImage(str(error).replace("the given bytes", file.name, 1)) from error
        st.session_state[_OPENED] = known
    return known[1]


def _chip(image: bytes, told: str, what: str, forget: Callable[[], None]) -> None:
    with st.container(horizontal=True, wrap=False, vertical_alignment="center"):
        st.image(image, width=_CHIP, alt=what)
        st.caption(escaped(told), width="stretch")
        st.button("Remove", key=f"forget {what}", help=f"Search without {what}", on_click=forget)
