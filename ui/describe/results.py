"""How a description and what it was made of are shown."""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_hex

import streamlit as st

from engine.legible import legible
from engine.types import CaptionResult
from service.conversion import trace_answer
from service.takeaway.values import chosen_score
from ui.describe.describer import Described
from ui.shared.components import as_text, component, nothing
from ui.shared.resources import thumbnails
from ui.shared.spaces import DESCRIBE_SPACES
from ui.shared.trace import MADE, show_trace

_SOURCE_SIDE = 128

_described = component("described", '<div class="place"></div>', buttons=True)
_scored = component("scored", "<ol></ol>")
_example = component("example", '<div class="place"></div>')
_remembered = component(
    "remembered", '<p class="mrag-remembered" role="status"></p>', isolated=False
)
_announcer = component(
    "announcer",
    '<div class="mrag-announcer" role="status" aria-live="polite"></div>',
    isolated=False,
)


def announce(text: str) -> None:
    """Let a screen reader say it; to be called in the same place in every run."""
    _announcer(key="announcer", data=legible(text))


def remember(given: int) -> None:
    """Have the browser know how many pictures there are, to say so where a reload loses them."""
    session = st.session_state.setdefault("remembered session", token_hex(8))
    _remembered(key="remembered", data={"session": session, "given": given})


def show_example(item: Described, collection: str) -> None:
    """A picture of the collection with what was written of it, for those who look around."""
    if item.result is None:
        return  # its file is gone; the collection's page says so
    note = f"Written by mRAG for a picture of “{collection}”, as if it were new to it."
    data = {
        "image": as_text(item.preview),
        "caption": legible(item.result.caption),
        "note": note,
    }
    _example(key="example picture", data=data)


def show_description(
    item: Described,
    *,
    open_details: bool,
    said: str = "",
    then: Callable[[], None] = nothing,
) -> None:
    """The picture with its caption large, or the trouble with it; the details on demand.

    `open_details`: whether they are to be seen without asking. `said` is for screen readers.
    `then` shows what stands between the caption and its details.
    """
    name, key, said = legible(item.given.name), item.given.id, legible(said)
    if item.result is None:
        trouble = {"name": name, "trouble": legible(item.trouble), "said": said}
        _described(key=f"described {key}", data=trouble)
        return
    data = {
        "said": said,
        "image": as_text(item.preview),
        "caption": legible(item.result.caption),
        "notes": _notes(item, item.result),
    }
    with st.container(key=f"picture {key}"):  # its style keeps the room until it is there
        _described(key=f"described {key}", data=data)
    then()
    with st.expander(MADE, open_details, key=f"details {key}", on_change="rerun") as details:
        if details.open:
            _show_details(item.result, key)


def _notes(item: Described, result: CaptionResult) -> list[str]:
    spent = sum(result.timings_ms.values())
    notes = [f"{legible(item.given.name)} · score {chosen_score(result):.3f} · {spent:.0f} ms"]
    if item.known:
        notes.append(f"In the collection people wrote: {legible(item.known[0])}")
    return notes


def _show_details(result: CaptionResult, key: str) -> None:
    st.markdown("**Candidates**, by likeness to the picture")
    _scored(
        key=f"candidates {key}",
        data={
            "rows": [
                {
                    "text": legible(made.text),
                    "score": f"{made.score:.3f}",
                    "chosen": made.text == result.caption,
                }
                for made in sorted(result.candidates, key=lambda made: -made.score)
            ]
        },
    )
    where = DESCRIBE_SPACES[result.space]
    st.markdown(f"**Captions found** {where.both}, that it was written from")
    _scored(key=f"retrieved {key}", data={"rows": _retrieved_rows(result)})
    if result.reranked:
        st.caption(f"{'; '.join(result.reranked)}.")
    if result.prompt:
        st.markdown("**Prompt**")
        st.code(result.prompt, language=None, wrap_lines=True)
    st.markdown("**Stages**, and the time that each took")
    show_trace(trace_answer(result.trace), key=key)


def _retrieved_rows(result: CaptionResult) -> list[dict[str, str]]:
    uris = [hit.uri for hit in result.retrieved if hit.uri]
    images = dict(zip(uris, thumbnails().get(uris, _SOURCE_SIDE), strict=True))
    return [
        {
            "text": legible(hit.text),
            "score": f"{hit.score:.3f}",
            "image": as_text(images[hit.uri]) if hit.uri else "",
        }
        for hit in result.retrieved
    ]
