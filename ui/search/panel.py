"""What the page Search is asked: its fields and its side panel, kept level with its address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import streamlit as st
from PIL.Image import Image
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.uploaded_file_manager import UploadedFile

from engine.app import Collection
from engine.errors import InvalidSearch, UnreadableImage
from engine.images import SUFFIXES
from engine.search.default_space import TOP, QueryKind, SpaceChoice
from engine.search.language import Filter, Like, read_search, written
from engine.search.thumbnails import shrunk
from engine.types import SearchSpace, Sort
from ui.search.address import (
    MAX_WORDS,
    PAGE_SIZES,
    SORTS,
    SearchAddress,
    read_address,
)
from ui.shared.pictures import escaped
from ui.shared.reranking import HELP, RERANKERS, usable
from ui.shared.resources import engine
from ui.shared.spaces import SPACES as SPACE_WORDS

_BEST: Literal[""] = ""
_ORDERED: tuple[SearchSpace | Literal[""], ...] = (_BEST, *SPACE_WORDS)
_SORTS: dict[Sort, str] = {
    "relevance": "Best first",
    "newest": "Newest first",
    "oldest": "Oldest first",
}
_KINDS: dict[QueryKind, str] = {"word": "one word", "words": "several", "caption": "a caption"}
_WIDGETS = ("q", "space", "likely", "sort", "k", "rerank")
_CHIP = 64
_ROUND, _OPENED, _LAST = "search round", "search opened", "search last"
_TOO_LONG = "search too long"


def current() -> SearchAddress:
    """What the address says now."""
    return read_address(st.query_params.get_all)[0]


def go(address: SearchAddress) -> None:
    """Show another search, as a step that the browser can take back."""
    st.query_params.update(address.parameters())


def more_like(id_: str) -> SearchAddress:
    """The search for more like a picture of the collection, with the filters of now."""
    now = current()
    space = _BEST if now.space == "words" else now.space
    return replace(
        now, q=_filters_of(now.q), like=(id_,), unlike=(), space=space, page=1, picture=""
    )


def _filters_of(typed: str) -> str:
    """The filters of what is typed, without all else; nothing where it cannot be read."""
    try:
        return written(item for item in read_search(typed).items if isinstance(item, Filter))
    except InvalidSearch:
        return ""


def _without_filters(typed: str) -> str:
    """What is typed without filters and pictures, as it is where it cannot be read."""
    try:
        items = read_search(typed).items
    except InvalidSearch:
        return typed
    return written(item for item in items if not isinstance(item, Filter | Like))


def look_for(typed: str) -> None:
    """Search for that, from its first page on; what is too long is kept to be shortened."""
    now = current()
    st.session_state.pop(_TOO_LONG, None)
    if len(typed) > MAX_WORDS:
        st.session_state[_TOO_LONG] = typed, now.q
    else:
        go(replace(now, q=typed, page=1, picture=""))


def forget_upload() -> None:
    """Take the uploaded picture out of the search."""
    st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1


def come_back(collection: str) -> None:
    """Bring back the search that was left for another page, where the address names none.

    Its filters are of its collection, so in another one it is looked for without them.
    """
    state = st.session_state
    here = _key("q") in state  # widgets of a page that is left are forgotten
    last: tuple[str, SearchAddress] | None = state.get(_LAST)
    if here or last is None:
        return
    name, address = last
    now = current()
    # On the way to another page a browser keeps a step that names the open picture alone.
    if now != SearchAddress(picture=now.picture) or now.picture not in {"", address.picture}:
        return
    if name != collection:
        q = _without_filters(address.q)
        kept = {name: getattr(address, name) for name in ("space", "likely", "sort", "rerank")}
        address = SearchAddress(q, **kept)
    go(replace(address, picture=now.picture))


def remember(collection: str, address: SearchAddress) -> None:
    """Keep the search for when the visitor comes back from another page."""
    st.session_state[_LAST] = (collection, address)


def asked() -> SearchAddress:
    """The search of the address, the fields set to it; says what in it cannot be used."""
    address, problems = read_address(st.query_params.get_all)
    for problem in problems:
        st.warning(escaped(problem))
    long = _too_long(address)
    for name in _WIDGETS:
        value = getattr(address, name)
        value = list(value) if isinstance(value, tuple) else value
        if name == "q" and long:
            value = long
        if st.session_state.get(_key(name), ...) != value:
            st.session_state[_key(name)] = value
    return address


def _too_long(address: SearchAddress) -> str:
    """Words that were typed and are too many, for as long as the search stays; says so."""
    typed, then = st.session_state.get(_TOO_LONG, ("", ""))
    if not typed or then != address.q:
        return ""
    st.warning(
        f"These are {len(typed):,} characters, and a search has up to {MAX_WORDS}: leave out what "
        "matters least. Until then it is not looked for"
        + (f", and what is shown answers “{escaped(address.q)}”." if address.q else ".")
    )
    return str(typed)


def words_field() -> None:
    """Where words are typed."""
    # No `max_chars`: what is pasted and longer would be dropped without a word.
    st.text_input(
        "What to look for",
        key=_key("q"),
        placeholder="a dog on the beach +snow -cat after:2024",
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


def options(collection: Collection) -> tuple[DeltaGenerator, DeltaGenerator]:
    """The side panel: in which order, and where to look; gives room for filters and for reasons."""
    with st.sidebar:
        filters = st.container()
        st.selectbox(
            "Order",
            SORTS,
            key=_key("sort"),
            format_func=_SORTS.__getitem__,
            help="By date comes what is likely what was asked for. Filters alone, without words, "
            "show the newest first.",
            on_change=_changed,
        )
        st.toggle(
            "Only what is likely",
            key=_key("likely"),
            help="Leaves out what stands under “Less likely”: pictures that score no better than "
            "some that were not asked for do in a collection of this size.",
            on_change=_changed,
        )
        st.radio(
            "Where to look",
            _ORDERED,
            key=_key("space"),
            format_func=_named,
            captions=[_told(space) for space in _ORDERED],
            on_change=_changed,
        )
        room = st.container()
        _reranking(collection)
        st.selectbox("Pictures on a page", PAGE_SIZES, key=_key("k"), on_change=_changed)
    return filters, room


def _reranking(collection: Collection) -> None:
    """How the best are put in another order; nothing where there is no model for it."""
    ways = usable(collection, st.session_state.get(_key("rerank")))
    if len(ways) > 1:
        st.selectbox(
            "Order of the best",
            ways,
            key=_key("rerank"),
            format_func=RERANKERS.__getitem__,
            help=HELP,
            disabled=st.session_state.get(_key("sort")) != "relevance",
            on_change=_changed,
        )


def _named(space: SearchSpace | Literal[""]) -> str:
    said = SPACE_WORDS[space].both if space else "what answers best here"
    return said[0].upper() + said[1:]


def _told(space: SearchSpace | Literal[""]) -> str:
    return SPACE_WORDS[space].told if space else "One of these, as measured in this collection."


def space_options(choice: SpaceChoice) -> None:
    """Why it is looked there."""
    st.caption(f"Best here: **{SPACE_WORDS[choice.space].both}**")
    with st.popover("How was that measured?", type="tertiary"):
        show_choice(choice)


def show_choice(choice: SpaceChoice) -> None:
    """Why a space answers best, with the figures of all."""
    st.markdown(f"Chosen because {choice.reason}.")
    if not choice.scores:
        return
    st.table(
        {
            "": [SPACE_WORDS[space].both for space in choice.scores],
            **{
                label: [f"{scores[kind].ndcg:.2f}" for scores in choice.scores.values()]
                for kind, label in _KINDS.items()
            },
        },
        hide_index=True,
    )
    seen = "the map was fitted on them" if choice.fitted else "none of them fitted the map"
    st.caption(
        f"nDCG@{TOP}: 1.00 where all that is right stands first. Searched were {choice.pictures} "
        f"pictures ({seen}) with every second caption kept from the search; "
        f"{', '.join(map(str, choice.queries.values()))} queries were made of those. Exact words "
        "find nothing by a picture and nothing that no caption says, so they are not chosen."
    )


def _changed() -> None:
    """Write into the address what the fields say."""
    said = {
        name: st.session_state[_key(name)] for name in _WIDGETS if _key(name) in st.session_state
    }
    now = current()
    st.session_state.pop(_TOO_LONG, None)
    if len(said["q"]) > MAX_WORDS:
        st.session_state[_TOO_LONG] = said["q"], now.q
        said["q"] = now.q
    go(replace(now, **said, page=1, picture=""))


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
