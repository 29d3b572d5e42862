"""What a visitor says of a picture, in place: saved at once, told with who and when, undone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from functools import partial

import streamlit as st

from corpus.corrections import MOST
from engine.app import Collection
from engine.errors import InvalidInput, MragError
from mrag_client.models import (
    CorrectionAnswer,
    CorrectionOptions,
    CorrectionsAnswer,
    LearnedAnswer,
    LearnedStep,
)
from service.correcting import Corrector, chance, name_of
from ui.shared.pictures import escaped
from ui.shared.places import placed
from ui.shared.resources import engine, jobs
from ui.shared.sign_in import visitor

_LOOK_EVERY_S = 1.5
_SAID = "correction said"

_WORDS = {"edited": "wrote", "accepted": "accepted", "undone": "took back"}


def corrector() -> Corrector:
    """Corrects in the name of who looks at this page."""
    who = visitor()
    return Corrector(engine(), name_of(who), jobs().learner, who.may("admin"))


def show_corrections(collection: Collection, picture: str, *, written: str = "") -> None:
    """The description of a picture of the collection, to be edited, accepted, or undone in place.

    `written` is a description that was generated just now and may be accepted; else what the
    collection has may be, where it was generated.
    """
    name = collection.card.name
    try:
        made = corrector().history(name, picture)
    except MragError as error:
        st.error(escaped(placed(str(error))))
        return
    last = next((one for one in made.corrections if one.stands), None)
    if last is not None:
        st.caption(escaped(_who(last)))
    if visitor().may("write"):
        _edit(collection, picture, made, written)
    _history(made)


def _edit(collection: Collection, picture: str, made: CorrectionsAnswer, written: str) -> None:
    key = f"correct text {picture} {len(made.corrections)}"  # another once something was said
    shown = made.caption if any(one.stands for one in made.corrections) else ""
    name, offered = collection.card.name, written or _generated(collection, picture)
    with st.form(f"correct {picture}", border=False, enter_to_submit=True):
        st.text_area(
            "What it shows",
            shown or written or made.caption,
            max_chars=MOST,
            key=key,
            help="The collection learns from it, for its other pictures too. Ctrl+Enter saves.",
        )
        with st.container(horizontal=True):
            st.form_submit_button(
                "Save",
                icon=":material/check:",
                type="primary",
                on_click=partial(_save, name, picture, key, shown),
            )
            if offered and not shown:
                st.form_submit_button(
                    "It is right",
                    icon=":material/thumb_up:",
                    on_click=partial(_accept, name, picture, offered),
                )
            if shown:
                st.form_submit_button(
                    "Undo", icon=":material/undo:", on_click=partial(_undo, name, picture)
                )
    if told := st.session_state.pop(_SAID, None):
        is_trouble, text = told
        (st.error if is_trouble else st.success)(escaped(placed(text)))


def _save(name: str, picture: str, key: str, shown: str) -> None:
    text = str(st.session_state[key])
    if shown and text.strip() == shown:
        st.session_state[_SAID] = False, "This is what is said of it already."
        return
    _do(lambda: _corrected(name, picture, text), "Saved.")


def _accept(name: str, picture: str, text: str) -> None:
    options = CorrectionOptions(text=text, accept=True)
    _do(lambda: corrector().correct(name, picture, options), "Saved as right.")


def _undo(name: str, picture: str) -> None:
    _do(lambda: corrector().undo(name, picture), "Taken back.")


def _corrected(name: str, picture: str, text: str) -> CorrectionsAnswer:
    if not text.strip():
        raise InvalidInput("the description has no words; write what the picture shows")
    return corrector().correct(name, picture, CorrectionOptions(text=text))


def _do(act: Callable[[], CorrectionsAnswer], said: str) -> None:
    """Do it before the page is run again, which then says what came of it."""
    try:
        if not visitor().may("write"):
            raise InvalidInput("your role may look and not correct; ask who runs this server")
        found = act()
    except MragError as error:
        st.session_state[_SAID] = True, str(error)
        return
    if found.corrections and found.corrections[0].waiting:
        said += " It is searched once what else is written to the collection is done."
    st.session_state[_SAID] = False, said


def _generated(collection: Collection, picture: str) -> str:
    hits = collection.images.get([picture])
    if hits and hits[0].payload["source"] == "generated":
        return next(iter(hits[0].captions), "")
    return ""


def _history(made: CorrectionsAnswer) -> None:
    if not made.corrections:
        return
    with st.expander(f"History ({len(made.corrections)})"):
        for one in made.corrections:
            st.markdown(escaped(_who(one)))
            st.caption(escaped(one.text or one.replaced))


def _who(one: CorrectionAnswer) -> str:
    when = one.when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    state = " (undone)" if one.undone else " (waits)" if one.waiting else ""
    return f"{one.who} {_WORDS[one.kind]} this, {when}{state}"


def show_learned(collection: Collection) -> None:
    """What the collection has learned, told anew while it is at it."""
    busy = bool(corrector().learned(collection.card.name).state)
    st.fragment(_learned, run_every=_LOOK_EVERY_S if busy else None)(collection)


def _learned(collection: Collection) -> None:
    name = collection.card.name
    told = corrector().learned(name)
    if told.now is None and not told.state and not told.waiting:
        return
    with st.container(border=True, key="learned"):
        st.markdown("**Learned from corrections**")
        if told.now is not None:
            st.markdown(_gain(told.now))
        if told.state:
            st.caption(escaped(f"Now: {told.state} …"))
        if told.trouble:
            st.warning(escaped(placed(told.trouble)))
        _others(told, name)


def _gain(now: LearnedStep) -> str:
    count = f"{now.corrections:,} corrected picture{'' if now.corrections == 1 else 's'}"
    if now.score is None or now.without is None:
        return f"{count}. Found by search; too few pairs yet to measure what the map gains."
    return (
        f"{count}. Held-out score **{now.without:.3f}** before learning, **{now.score:.3f}** now, "
        f"on the same {now.held_out:,} pairs (chance alone moves each by up to "
        f"{chance(now.held_out):.3f})."
    )


def _others(told: LearnedAnswer, name: str) -> None:
    may = visitor().may("write")
    if told.checked is None:
        if may and not told.state and st.button("See what else would change", key="learned look"):
            corrector().learned(name, look_again=True)
            st.rerun()
        return
    if not told.checked:
        st.caption("No other picture has a generated description.")
        return
    st.caption(
        f"Of the {told.checked} generated descriptions most like the corrected ones "
        f"{len(told.differing)} would be others now."
    )
    if not told.differing:
        return
    with st.expander("Which, and how"):
        for one in told.differing:
            st.markdown(f"{escaped(one.now)} → **{escaped(one.then)}**")
    if may and not told.state:
        label = f"Describe these {len(told.differing)} again"
        if st.button(label, icon=":material/refresh:", key="learned again"):
            corrector().describe_differing(name)
            st.rerun()
