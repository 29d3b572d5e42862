"""What researchers may turn on the page Describe: how pictures are described."""

from __future__ import annotations

from typing import Literal, get_args

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.app import Collection
from engine.describe.captioner import DescribeOptions
from engine.describe.prompts import SLOT, TEMPLATES, Order
from engine.evidence.refiners import Refinement
from engine.types import Decoding, DescribeSpace, RerankMethod
from ui.shared.reranking import HELP, RERANKERS, usable
from ui.shared.spaces import DESCRIBE_SPACES

_DEFAULT = DescribeOptions()
_OWN = "your own"
_RERANK = "describe rerank"
_METHODS: dict[Literal["greedy", "beam", "nucleus"], str] = {
    "greedy": "the likeliest words",
    "beam": "beam search",
    "nucleus": "sampling",
}
_REFINEMENTS: dict[Refinement, str] = {
    "near-copies": "say the same once",
    "contradictions": "settle counts and colours",
    "compression": "drop clauses first",
}
_LONGEST_PROMPT = 4096


def advanced(collection: Collection) -> tuple[DescribeOptions, bool]:
    """How to describe, and whether with what the collection has of the very picture.

    Raises InvalidInput for a prompt that has no place for captions.
    """
    panel = st.sidebar.expander("Advanced", icon=":material/tune:")
    return _options(panel, collection), _borrow_own(panel)


def _options(panel: DeltaGenerator, collection: Collection) -> DescribeOptions:
    space = panel.selectbox(
        "Look for captions in",
        get_args(DescribeSpace),
        _at(DescribeSpace, _DEFAULT.space),
        format_func=lambda one: DESCRIBE_SPACES[one].both,
        key="describe space",
        persist_state="session",
    )
    k = panel.slider(
        "Captions retrieved", 1, 16, _DEFAULT.k, key="describe k", persist_state="session"
    )
    rerank = _rerank(panel, collection)
    order = panel.selectbox(
        "Their order in the prompt",
        get_args(Order),
        _at(Order, _DEFAULT.order),
        format_func=lambda one: one.replace("-", " "),
        key="describe order",
        persist_state="session",
    )
    names = [*TEMPLATES, _OWN]
    template = panel.selectbox(
        "Prompt",
        names,
        names.index(_DEFAULT.template),
        key="describe prompt",
        persist_state="session",
    )
    if template == _OWN:
        template = panel.text_area(
            "Your prompt",
            TEMPLATES[_DEFAULT.template],
            key="describe own prompt",
            persist_state="session",
            help=f"{SLOT} stands for the captions.",
        )
    refine = panel.multiselect(
        "What is done to captions before",
        list(_REFINEMENTS),
        list(_DEFAULT.refine),
        format_func=lambda one: _REFINEMENTS[one],
        key="describe refine",
        persist_state="session",
    )
    longest = panel.number_input(
        "Longest prompt, in tokens",
        0,
        _LONGEST_PROMPT,
        0,
        10,
        key="describe prompt tokens",
        persist_state="session",
        help="0: as long as the model reads.",
    )
    method = panel.selectbox(
        "How words are chosen",
        list(_METHODS),
        key="describe decoding",
        persist_state="session",
        format_func=lambda one: _METHODS[one],
    )
    candidates = panel.slider(
        "Candidates written",
        1,
        10,
        _DEFAULT.candidates,
        key="describe candidates",
        persist_state="session",
    )
    return DescribeOptions(
        space=space,
        k=k,
        order=order,
        template=template,
        candidates=candidates,
        decoding=Decoding(method),
        refine=tuple(refine),
        prompt_tokens=int(longest) or None,
        rerank=rerank,
    )


def _rerank(panel: DeltaGenerator, collection: Collection) -> RerankMethod:
    """How more captions are put in order, of which the first are taken."""
    ways = usable(collection, st.session_state.get(_RERANK))
    if len(ways) == 1:
        return "off"
    return panel.selectbox(
        "Which captions come first",
        ways,
        format_func=RERANKERS.__getitem__,
        key=_RERANK,
        persist_state="session",
        help=HELP,
    )


def _borrow_own(panel: DeltaGenerator) -> bool:
    return panel.toggle(
        "Use a picture's own captions",
        key="describe own captions",
        persist_state="session",
        help="Off: a picture of the collection is described as if it were new.",
    )


def _at(choices: object, value: str) -> int:
    return list(get_args(choices)).index(value)
