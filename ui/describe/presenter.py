"""The presenter's mode: one picture of the collection after the other, large, by key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import streamlit as st

from engine.app import Collection
from engine.legible import legible
from engine.types import TRAINING_SPLITS, Filters, ImageHit
from ui.describe.describer import Described, Given
from ui.describe.intake import sample
from ui.shared.components import as_text, component
from ui.shared.shell import await_models

_PRESENT = "present"
"""In the address: whether pictures are presented."""
_AT = "presented"
_MOST = 100

_presenter = component("presenter", '<div class="stage"></div>', buttons=True)

Describe = Callable[[Given], Described]


def presenting() -> bool:
    """Whether the address asks for a presentation."""
    return st.query_params.get(_PRESENT) == "1"


def offer_presentation() -> None:
    """A button that begins one."""
    st.sidebar.button(
        "Present",
        icon=":material/slideshow:",
        on_click=_begin,
        width="stretch",
        help="Pictures of the collection with what is written of them, large: for a screen in "
        "front of people.",
    )


def present(collection: Collection, describe: Describe) -> None:
    """Show the picture whose turn it is, and have the next one ready before it is asked for."""
    hits = _presented(collection)
    if not hits:
        st.info("This collection has no pictures to present. Choose another one.")
        st.button("Leave", on_click=_leave)
        return
    await_models(collection.card.name, writer=True)
    at = st.session_state.get(_AT, 0)
    hit, place = hits[at % len(hits)], f"{at % len(hits) + 1} of {len(hits)}"
    _presenter(
        key="presenter",
        data={"at": at, "place": place, **_told(describe(sample(hit)), hit)},
        on_turned_change=_turn,
        on_left_change=_leave,
    )
    describe(sample(hits[(at + 1) % len(hits)]))  # remembered, so that the key shows it at once


def _presented(collection: Collection) -> Sequence[ImageHit]:
    """Pictures that the map was not fitted on, where there are any."""
    images, unseen = collection.images, Filters(not_splits=TRAINING_SPLITS)
    among = unseen if images.count(unseen) else Filters()
    return images.get(list(islice(images.ids(among), _MOST)))


def _told(item: Described, hit: ImageHit) -> dict[str, object]:
    result = item.result
    return {
        "id": hit.id,
        "image": as_text(item.preview),
        "caption": legible(result.caption if result else item.trouble),
        "sources": [legible(one.text) for one in result.retrieved] if result else [],
        "people": legible(item.known[0]) if item.known else "",
    }


def _begin() -> None:
    st.query_params[_PRESENT] = "1"


def _turn() -> None:
    turned = st.session_state["presenter"]["turned"]
    if isinstance(turned, int):
        st.session_state[_AT] = turned


def _leave() -> None:
    st.query_params.pop(_PRESENT, None)
