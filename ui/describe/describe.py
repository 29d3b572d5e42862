"""The page Describe: pictures in, descriptions out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from engine.app import Collection
from engine.describe.captioner import DescribeOptions
from service.conversion import description
from service.exports import Descriptions, as_csv, as_jsonl, as_sidecars, as_xmp
from ui.describe.controls import advanced
from ui.describe.describer import Described, Describer, Given, admitted
from ui.describe.film import film
from ui.describe.intake import clear, tray
from ui.describe.landing import is_wordless, show_landing
from ui.describe.presenter import offer_presentation, present, presenting
from ui.describe.results import announce, remember, show_description
from ui.shared.corrections import show_corrections, show_learned
from ui.shared.pictures import escaped
from ui.shared.resources import engine
from ui.shared.shell import await_models, chosen, errors_shown

_CARD_HEIGHT = 260


def page() -> None:
    """The whole page, or the presentation of the collection's pictures."""
    if presenting() and engine().names():
        collection = chosen()
        with errors_shown():
            present(collection, partial(_one, collection, *advanced(collection)))
        return
    _hero()
    collection = chosen()
    offer_presentation()
    spoken = st.container()
    given = tray(collection)
    with errors_shown():
        film(collection)
    remember(len(given))
    done: list[Described] = []
    with errors_shown():
        how = advanced(collection)
        if is_wordless(collection):
            st.info(
                "Nothing in this collection has a caption yet, so nothing can be described with "
                "it. Choose another one, or add captions to it on the page Collections."
            )
        if given:
            _describe(given, collection, *how, done)
        else:
            show_landing(collection, partial(_one, collection, *how), how)
    with spoken:
        announce(_spoken(done))


def _hero() -> None:
    with st.container(key="hero"):
        st.title("Pictures into words, words to pictures")
        st.markdown(
            "**mRAG** writes what a picture shows, in the words of your own collection, and finds "
            "pictures by what you say. Nothing has to be trained."
        )


def _describer() -> Describer:
    settings = engine().settings
    new = Describer(settings.limits, keep=2 * settings.max_upload_files)
    describer: Describer = st.session_state.setdefault("describer", new)
    return describer


def _one(collection: Collection, options: DescribeOptions, own: bool, given: Given) -> Described:
    return next(_describer().describe([given], collection, options, borrow_own=own))


def _describe(
    given: Sequence[Given],
    collection: Collection,
    options: DescribeOptions,
    own: bool,
    done: list[Described],
) -> None:
    """Show every description as soon as it is there, and add it to `done`."""
    settings = engine().settings
    taken, left_out = admitted(
        given, max_files=settings.max_upload_files, max_bytes=settings.max_upload_bytes
    )
    if left_out:
        st.warning(escaped(left_out))
    _take_away(done)
    await_models(collection.card.name, writer=True)
    count = st.empty()
    answers = _describer().describe(taken, collection, options, borrow_own=own)
    while len(done) < len(taken):
        with st.skeleton(_CARD_HEIGHT):
            item = next(answers)
        done.append(item)
        several = len(taken) > 1
        said = f"{_heard(item)} ({len(done)} of {len(taken)})" if several else ""
        then = partial(_correct, collection, item)
        show_description(item, open_details=not several, said=said, then=then)
        if several:
            count.progress(len(done) / len(taken), _told(done, len(taken)))
    show_learned(collection)


def _correct(collection: Collection, item: Described) -> None:
    """Let a description be corrected for good, where the collection has the picture."""
    if item.result is None:
        return
    if not item.picture:
        st.caption(
            "This picture is not in the collection. Add it on the page Collections to correct its "
            "description and have the collection learn from it."
        )
        return
    with st.expander("Correct or accept it", key=f"correct {item.given.id}"):
        show_corrections(collection, item.picture, written=item.result.caption)


def _told(done: Sequence[Described], total: int) -> str:
    bad = sum(item.result is None for item in done)
    told = f"{len(done) - bad} of {total} described"
    return f"{told}, {bad} could not be read" if bad else told


def _take_away(done: Sequence[Described]) -> None:
    """Buttons that write out what is done by the time of the click."""
    kinds = (
        ("Download CSV", as_csv, "captions.csv", "text/csv", "A table for a spreadsheet"),
        ("JSONL", as_jsonl, "captions.jsonl", "application/x-ndjson", "All details, for programs"),
        ("Text files", as_sidecars, "captions.zip", "application/zip",
         "photo.jpg.txt for photo.jpg: unpack beside the pictures"),
        ("XMP", as_xmp, "sidecars.zip", "application/zip",
         "photo.jpg.xmp for photo.jpg: photo managers read it beside the pictures"),
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, write, name, mime, told in kinds:
            data = partial(_written, done, write)
            st.download_button(label, data, name, mime, on_click="ignore", help=told)
        st.button("Clear", on_click=clear)


def _written(done: Sequence[Described], write: Callable[[Descriptions], bytes]) -> bytes:
    return write(description(item.given.name, item.result) for item in done if item.result)


def _spoken(done: Sequence[Described]) -> str:
    """What is to be heard at the end: of several pictures each has been, when it was there."""
    return _heard(done[0]) if len(done) == 1 else ""


def _heard(item: Described) -> str:
    told = item.result.caption if item.result else item.trouble
    return f"{item.given.name}: {told}"


page()
