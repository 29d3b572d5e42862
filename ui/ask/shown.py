"""An answer on the page: in words, what was searched for it, and the pictures by number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from engine.app import Collection
from engine.types import ImageHit
from mrag_client.models import AskAnswer, AskedCount, AskedPicture, AskedRule
from ui.shared.pictures import Card, escaped, picture_grid, plain
from ui.shared.resources import thumbnails
from ui.shared.shell import page_file
from ui.shared.trace import MADE, show_trace

_SIDE = 256
_WHY = {"said": "its captions say so", "likely": "looks likely", "near": "among the nearest"}


def show_answer(
    answer: AskAnswer, collection: Collection, *, on_searched: Callable[[int], None]
) -> None:
    """Show an answer with all that it rests on; `on_searched` hears of edited searches."""
    st.subheader(escaped(answer.answer), anchor=False)
    for hint in answer.hints:
        st.caption(escaped(f"{hint[:1].upper()}{hint[1:]}"))
    if answer.reranked:
        st.caption(escaped(f"{'; '.join(answer.reranked)}."))
    about_files = any(one.given is not None for one in answer.pictures)
    if not about_files:
        show_searches(answer.searches, on_searched)
    hits = _hits(answer.pictures, collection)
    cited = [one for one in answer.pictures if one.cited]
    others = [one for one in answer.pictures if not one.cited]
    _grid("What it rests on", cited, hits, "ask cited", opened=True)
    _grid("What else was looked at", others, hits, "ask others", opened=not cited)
    _made(answer)


def show_searches(searches: Sequence[str], on_searched: Callable[[int], None]) -> None:
    """The searches, each in a field that can be changed and asked again."""
    for at, search in enumerate(searches):
        key = f"ask search {at}"
        if st.session_state.get(key, ...) != search:
            st.session_state[key] = search
        st.text_input(
            "What was searched" if len(searches) == 1 else f"What was searched, {at + 1}",
            key=key,
            icon=":material/search:",
            help="Read from the question by rules. Change it, and the question is asked again with "
            "it; a new question is read anew.",
            on_change=on_searched,
            args=(len(searches),),
        )


def _hits(pictures: Sequence[AskedPicture], collection: Collection) -> Mapping[str, ImageHit]:
    ids = [one.id for one in pictures if one.id]
    return {hit.id: hit for hit in collection.images.get(ids)} if ids else {}


def _grid(
    title: str,
    pictures: Sequence[AskedPicture],
    hits: Mapping[str, ImageHit],
    key: str,
    *,
    opened: bool,
) -> None:
    """Pictures by their numbers, and captions of no picture as text below them."""
    if not pictures:
        return
    with st.expander(title, expanded=opened):
        shown = [one for one in pictures if one.id in hits]
        small = thumbnails().get([hits[one.id].uri for one in shown], _SIDE) if shown else []
        cards = [
            Card(
                one.id,
                image,
                next(iter(one.captions), "no caption"),
                f"[{one.number}]",
                _WHY[one.why],
            )
            for one, image in zip(shown, small, strict=True)
        ]
        if cards and (clicked := picture_grid(cards, key=key)):
            st.switch_page(page_file("Search"), query_params={"picture": clicked})
        for one in pictures:
            if one.id not in hits:
                for caption in one.captions:
                    plain(f"[{one.number}] {caption}")


def _made(answer: AskAnswer) -> None:
    """How the question was read, and what was counted."""
    with st.expander(MADE):
        rules = [_rule(one) for one in answer.rules]
        counts = [_count(one) for one in answer.counts]
        told = (*rules, *counts, f"Answered by: {answer.by}")
        st.markdown("\n".join(f"- {escaped(one)}" for one in told))
        if answer.trace is not None:
            show_trace(answer.trace, key="ask")


def _rule(rule: AskedRule) -> str:
    return f"“{rule.said}”: {rule.told}" + (f" → {rule.gave}" if rule.gave else "")


def _count(count: AskedCount) -> str:
    named = count.search or "all pictures"
    if count.by_filters:
        return f"{named}: {count.said:,} pictures satisfy it"
    least = "at least " if count.at_least else ""
    likely = "" if count.likely is None else f", {least}{count.likely:,} more look likely"
    return f"{named}: {count.said:,} of {count.among:,} pictures have it in their captions{likely}"
