"""The page Ask: a question in, an answer out with the pictures that it rests on."""

from __future__ import annotations

from itertools import islice

import streamlit as st
from PIL.Image import Image
from streamlit.runtime.uploaded_file_manager import UploadedFile

from engine.app import Collection
from engine.errors import InvalidInput, InvalidSearch, UnreadableImage
from engine.images import SUFFIXES
from engine.search.examples import example_searches
from engine.search.thumbnails import shrunk
from engine.types import ImageHit, RerankMethod
from mrag_client.answers import GivenPicture, NamedPicture, StoredPicture
from mrag_client.models import MOST_ASKED, AskAnswer, AskOptions
from service.answering import LocalAnswers
from ui.ask.shown import show_answer, show_searches
from ui.describe.results import announce
from ui.shared.pictures import escaped, thumbnail
from ui.shared.places import may
from ui.shared.reranking import HELP, RERANKERS, usable
from ui.shared.resources import engine
from ui.shared.shell import await_models, chosen, errors_shown
from ui.shared.unread import show_unread

_QUESTION, _ROUND, _ANSWERED = "ask question", "ask round", "ask answered"
_ORDER, _LAST = "ask order", "ask last"
_ADDRESS = ("ask", "search", "about", "rerank")
_LOOKED_AT = 60
_CHIP = 64
_OF_ONE = ("What is in the picture?", "Where was it taken?")
_OF_SEVERAL = ("What is in the pictures?", "Where were they taken?")
_MOST_PICTURES, _MOST_SEARCHES = 8, 2


def page() -> None:
    """The whole page."""
    st.title("Ask")
    collection = chosen()
    _come_back(collection.card.name)
    body, spoken = st.container(), st.container()
    told = ""
    with body, errors_shown():
        told = _asked(collection)
    with spoken:
        announce(told)


def _asked(collection: Collection) -> str:
    """The fields, and what answers them; what is to be read out."""
    question = st.query_params.get("ask", "")
    if st.session_state.get(_QUESTION, ...) != question:
        st.session_state[_QUESTION] = question
    with st.container(key="ask-field", horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Question",
            key=_QUESTION,
            placeholder="How many pictures show two dogs on a beach?",
            icon=":material/help:",
            on_change=_question_changed,
        )
        files = _files_field()
    _remember(collection.card.name, files)
    given = _given(files, collection)
    rerank = _order_field(collection)
    if not question.strip():
        if given:
            _offer(_OF_ONE if len(given) == 1 else _OF_SEVERAL)
        else:
            _show_examples(collection)
        return ""
    if len(question) > MOST_ASKED:
        st.warning(
            f"These are {len(question):,} characters, and a question has up to {MOST_ASKED}: ask a "
            "shorter one."
        )
        return "The question is too long."
    if not given and not collection.images.count():
        st.info("There is no picture in this collection yet.")
        return "There is no picture."
    try:
        answer = _answer(question, given, collection, rerank)
    except InvalidSearch as error:  # one of those that were written instead of the rules' own
        show_unread(error)
        show_searches(_searches(), _search_changed)
        return "The search cannot be read."
    show_answer(answer, collection, on_searched=_search_changed)
    return answer.answer


def _searches() -> tuple[str, ...]:
    """The searches that the address names instead of what the rules read from the question."""
    return tuple(st.query_params.get_all("search"))[:_MOST_SEARCHES]


def _come_back(collection: str) -> None:
    """Bring back the question that was left for another page, where the address asks none.

    What was searched and asked about is of its collection: in another one it is read anew.
    """
    here = _QUESTION in st.session_state  # widgets of a page that is left are forgotten
    last: tuple[str, dict[str, list[str]]] | None = st.session_state.get(_LAST)
    if here or last is None or any(name in st.query_params for name in _ADDRESS):
        return
    name, kept = last
    if name != collection:
        kept = {part: kept[part] for part in ("ask", "rerank")}
    st.query_params.update(kept)


def _remember(collection: str, files: list[UploadedFile]) -> None:
    """Keep the question for when the visitor comes back; files are gone then, and it with them."""
    kept = {name: st.query_params.get_all(name) for name in _ADDRESS}
    st.session_state[_LAST] = None if files else (collection, kept)


def _answer(
    question: str, given: list[GivenPicture], collection: Collection, rerank: RerankMethod
) -> AskAnswer:
    """The answer, shown as it is written; it stays until something else is asked."""
    searches = _searches()
    name = collection.card.name
    key = (
        name, collection.current.number, collection.images.count(), question, searches, rerank,
        tuple((one.name, hash(getattr(one, "source", ""))) for one in given),
    )  # fmt: skip
    known: tuple[object, AskAnswer] | None = st.session_state.get(_ANSWERED)
    if known is not None and known[0] == key:
        return known[1]
    await_models(name, writer=rerank not in {"off", "picture"})
    answers = LocalAnswers(engine(), paths=may("admin"))
    options = AskOptions(question=question, searches=searches, explain=True, rerank=rerank)
    place, written = st.empty(), ""
    with place, st.spinner("Looking for what answers it …", show_time=False):
        for event in answers.ask_events(options, images=given, collection=name):
            if event.event == "text":
                written += event.text
                place.markdown(escaped(written))
            if event.answer is not None:
                st.session_state[_ANSWERED] = key, event.answer
    place.empty()
    answered: AskAnswer = st.session_state[_ANSWERED][1]
    return answered


def _files_field() -> list[UploadedFile]:
    """Where pictures are given that the question is about."""
    most = max(1, engine().settings.max_image_bytes // 2**20)
    with st.popover("About a picture", icon=":material/add_photo_alternate:", width="content"):
        return st.file_uploader(
            "Pictures that the question is about",
            sorted(suffix[1:] for suffix in SUFFIXES),
            key=f"ask pictures {st.session_state.get(_ROUND, 0)}",
            accept_multiple_files=True,
            max_upload_size=most,
            help="Without any, the question is about the whole collection.",
        )


def _order_field(collection: Collection) -> RerankMethod:
    """How what is found is put in order, as the address has it; no field where no model can."""
    said = st.query_params.get("rerank", "off")
    now: RerankMethod = next((method for method in RERANKERS if method == said), "off")
    ways = usable(collection, now)
    if len(ways) > 1:
        if st.session_state.get(_ORDER, ...) != now:
            st.session_state[_ORDER] = now
        st.sidebar.selectbox(
            "Order of the best",
            ways,
            key=_ORDER,
            format_func=RERANKERS.__getitem__,
            help=HELP,
            on_change=_order_changed,
        )
    return now


def _given(files: list[UploadedFile], collection: Collection) -> list[GivenPicture]:
    """What the question is about, shown small; files first, then pictures of the collection."""
    given: list[GivenPicture] = []
    for at, file in enumerate(files[:_MOST_PICTURES]):
        image = _opened(file)
        given.append(NamedPicture(file.name, file.getvalue()))
        _chip(shrunk(image, 2 * _CHIP), file.name)
        if at == 0:
            label = "Remove" if len(files) == 1 else "Remove these files"
            st.button(label, key="ask forget files", on_click=_forget_files)
    if len(files) > _MOST_PICTURES:
        st.warning(f"A question is about up to {_MOST_PICTURES} pictures; the others are left out.")
    for hit in _about(collection):
        given.append(StoredPicture(hit.id))
        told = next(iter(hit.captions), "a picture of the collection")
        _chip(thumbnail(hit.uri, 2 * _CHIP), told)
        key = f"ask forget {hit.id}"
        st.button("Remove", key=key, on_click=_forget_about, args=(hit.id,))
    return given


def _opened(file: UploadedFile) -> Image:
    try:
        return engine().open_picture(file.getvalue()).image
    except UnreadableImage as error:
        raise UnreadableImage(str(error).replace("the given bytes", file.name, 1)) from error


def _about(collection: Collection) -> list[ImageHit]:
    """The pictures of the collection that the address names."""
    ids = list(dict.fromkeys(st.query_params.get_all("about")))[:_MOST_PICTURES]
    try:
        found = collection.images.get(ids) if ids else []
    except InvalidInput:  # an id that can be no picture's
        found = []
    if len(found) < len(ids):
        st.warning("A picture that the address names is not in this collection (any more).")
    return found


def _chip(image: bytes, told: str) -> None:
    with st.container(horizontal=True, wrap=False, vertical_alignment="center"):
        st.image(image, width=_CHIP, alt="a picture that the question is about")
        st.caption(escaped(f"About: {told}"), width="stretch")


def _show_examples(collection: Collection) -> None:
    """Questions to click on, made of the collection's own captions."""
    hits = collection.images.get(list(islice(collection.images.ids(), _LOOKED_AT)))
    found = [text for text in example_searches([hit.captions for hit in hits]) if " -" not in text]
    if not found:
        st.info(
            "This collection has no captions yet, which questions are answered from. Pictures are "
            "described when they are ingested with a memory; or describe some yourself."
        )
        return
    words = [f"{text[:1].lower()}{text[1:]}" for text in found]
    questions = (
        f"How many pictures show {words[0]}?",
        *(f"Is there a picture of {one}?" for one in words[1:2]),
        "What can be seen in the pictures?",
    )
    _offer(questions)


def _offer(questions: tuple[str, ...]) -> None:
    """Questions that are asked by a click."""
    with st.container(key="ask-examples", horizontal=True, vertical_alignment="center"):
        st.markdown("Try:", width="content")
        for said in questions:
            st.button(
                escaped(said),
                key=f"try {said}",
                icon=":material/help:",
                on_click=_go,
                args=(said,),
            )


def _go(question: str, *searches: str) -> None:
    st.query_params["ask"] = question
    st.query_params["search"] = list(searches)


def _question_changed() -> None:
    _go(st.session_state[_QUESTION])


def _order_changed() -> None:
    if (method := st.session_state[_ORDER]) == "off":
        st.query_params.pop("rerank", None)
    else:
        st.query_params["rerank"] = method


def _search_changed(count: int) -> None:
    """Ask again with what stands in the fields for the searches."""
    searches = [st.session_state.get(f"ask search {at}", "") for at in range(count)]
    st.query_params["search"] = [one for one in searches if one.strip()]


def _forget_files() -> None:
    st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1


def _forget_about(key: str) -> None:
    st.query_params["about"] = [one for one in st.query_params.get_all("about") if one != key]


page()
