"""Giving pictures labels, on the page Collections: looked at first, then given, and taken back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import streamlit as st

from engine.errors import MragError
from engine.search.language import Filter
from mrag_client.models import (
    LabelledPicture,
    TaggingAnswer,
    TaggingsAnswer,
    TagOptions,
    TagsAnswer,
)
from service.correcting import name_of
from service.tagging import TagMaker
from ui.shared.pictures import Card, escaped, picture_grid, thumbnail
from ui.shared.places import may, placed
from ui.shared.resources import engine, jobs
from ui.shared.shell import errors_shown, page_file
from ui.shared.sign_in import visitor

_LOOKED, _SAID = "tags looked", "tags said"
_SHOWN, _SIDE = 12, 256
_LED_TO = 8
_KINDS = ("As many as fit", "One, or none")
_LISTED = 200


def show_tagging(name: str) -> None:
    """The labels that pictures were given, and how they are given more."""
    with st.expander("Labels", icon=":material/label:"), errors_shown():
        standing = _maker().taggings(name)
        _show_standing(standing)
        _show_labels(name)
        if not may("write"):
            st.caption("To give labels, ask the one who runs this server for the role “write”.")
            return
        _offer(name, standing)


def _maker() -> TagMaker:
    """Tags in the name of who looks at this page."""
    who = visitor()
    return TagMaker(engine(), name_of(who), jobs().learner, who.may("admin"))


def _show_standing(standing: TaggingsAnswer) -> None:
    if told := st.session_state.pop(_SAID, None):
        is_trouble, text = told
        (st.error if is_trouble else st.success)(escaped(placed(text)))
    if not standing.taggings:
        st.markdown("No picture has a label yet. Write some below, and see which would get them.")
        return
    for one in standing.taggings:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{escaped(one.name)}**: {escaped(_told(one))}")
            if may("write"):
                st.button(
                    "Take back",
                    key=f"untag {standing.collection} {one.name}",
                    icon=":material/undo:",
                    help=f"Remove the labels of {one.name}",
                    on_click=_untag,
                    args=(standing.collection, one.name),
                )


def _show_labels(name: str) -> None:
    """The labels that most pictures have, each with the way to those."""
    counts = engine().open(name).images.facets().labels
    if not counts:
        return
    with st.container(key="go-on labels", horizontal=True, vertical_alignment="center"):
        st.markdown("Find pictures of:", width="content")
        for label, count in islice(counts.items(), _LED_TO):
            st.page_link(
                page_file("Search"),
                label=f"{escaped(label)} ({count:,})",
                icon=":material/search:",
                query_params={"q": str(Filter("label", label)), "collection": name},
                width="content",
            )


def _told(one: TaggingAnswer) -> str:
    if one.trouble:
        return placed(one.trouble)
    labels = [line.partition("=")[0].strip() for line in one.labels.splitlines()]
    named = ", ".join(labels[:8]) + (f" and {len(labels) - 8:,} more" if len(labels) > 8 else "")
    kind = "one a picture" if one.single else "as many as fit"
    when = one.when.strftime("%Y-%m-%d %H:%M UTC") if one.when else ""
    return f"{named} ({kind}, from {one.least:g} on; {one.who}, {when})"


def _offer(name: str, standing: TaggingsAnswer) -> None:
    """The list, a look at what it would give, and giving it."""
    with st.form(f"tag {name}", border=False):
        labels = st.text_area(
            "Labels, one a line",
            key=f"tag labels {name}",
            height=160,
            placeholder="dog = dog, puppy\ncat\nbirthday cake",
            help="Other words for a label stand behind it. Captions that name a label say best "
            "what it looks like.",
        )
        kind = st.radio("Each picture gets", _KINDS, key=f"tag kind {name}", horizontal=True)
        least = st.slider(
            "From which chance on",
            0.05,
            0.95,
            TagOptions().least,
            0.05,
            key=f"tag least {name}",
            help="Higher: fewer labels, and more of them right",
        )
        called = st.text_input(
            "Name of this tagging",
            "labels",
            max_chars=63,
            key=f"tag name {name}",
            help="One of the same name is replaced; by it labels are taken back",
        )
        asked = st.form_submit_button("See what they get", icon=":material/search:", type="primary")
    if asked:
        st.session_state.pop(_LOOKED, None)
        options = TagOptions(
            name=called.strip(),
            labels=labels,
            single=kind == _KINDS[1],
            least=least,
            dry_run=True,
            k=_SHOWN,
        )
        with st.spinner("Looking at the pictures"):
            st.session_state[_LOOKED] = (name, options, _maker().tag(name, options))
    if (looked := st.session_state.get(_LOOKED)) and looked[0] == name:
        _, options, found = looked
        _show(found)
        replaced = any(one.name == options.name for one in standing.taggings)
        st.button(
            f"Replace {options.name}" if replaced else "Give them these labels",
            key=f"give {name}",
            icon=":material/label:",
            type="primary",
            disabled=not found.labelled and not replaced,
            on_click=_give,
            args=(name, options),
        )


def _show(found: TagsAnswer) -> None:
    """What the pictures would get: counts, and some of them with their labels."""
    st.markdown(
        f"**{found.labelled:,} of {found.pictures:,}** pictures would get labels. Nothing is "
        "written yet."
    )
    cards = [
        Card(one.id, thumbnail(uri, _SIDE), _labels(one))
        for one, uri in zip(found.shown, _places(found), strict=True)
    ]
    if cards:
        picture_grid(cards, key=f"tags {found.collection}")
    st.dataframe(
        [{"Label": one.label, "Pictures": one.pictures} for one in found.labels[:_LISTED]],
        hide_index=True,
        height="content" if len(found.labels) < 10 else 320,
    )
    if len(found.labels) > _LISTED:
        st.caption(f"The {_LISTED} commonest of {len(found.labels):,} labels.")


def _places(found: TagsAnswer) -> list[str]:
    """Where the pictures lie, which an index says and an answer may not."""
    hits = engine().open(found.collection).images.get([one.id for one in found.shown])
    there = {hit.id: hit.uri for hit in hits}
    return [there.get(one.id, "") for one in found.shown]


def _labels(one: LabelledPicture) -> str:
    return ", ".join(f"{label.label} {label.chance:.2f}" for label in one.labels)


def _give(name: str, options: TagOptions) -> None:
    given = options.model_copy(update={"dry_run": False, "k": 0})

    def give() -> str:
        found = _maker().tag(name, given)
        if found.pending:
            return f"{found.labelled:,} pictures get labels: {found.pending}"
        return f"{found.labelled:,} pictures have labels now."

    _do(give)


def _untag(name: str, tagging: str) -> None:
    def take_back() -> str:
        pending = _maker().untag(name, tagging).pending
        return f"The labels of {tagging} are taken back{f': {pending}' if pending else ''}."

    _do(take_back)


def _do(act: Callable[[], str]) -> None:
    """Do it before the page is run again, which then says what came of it."""
    try:
        if may("write"):
            st.session_state[_SAID] = False, act()
            st.session_state.pop(_LOOKED, None)
    except MragError as error:
        st.session_state[_SAID] = True, str(error)
