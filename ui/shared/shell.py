"""The frame of every page: navigation, the chosen collection, how errors are shown."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from engine.app import Collection
from engine.errors import Busy, MragError
from service.readiness import shown_first
from ui.shared.components import component
from ui.shared.pictures import escaped
from ui.shared.places import placed
from ui.shared.resources import engine, warm_up

_LOG = logging.getLogger(__name__)
_PAGES = Path(__file__).parents[1]
_FRONTEND = Path(__file__).parent / "frontend"
_KEY = "collection"
_KEPT, _BOUND, _GONE, _NEXT = (f"collection {part}" for part in ("kept", "bound", "gone", "next"))
_LOOK_EVERY_S = 0.5

_menu = component("menu", "<span></span>")

ICON = str(_FRONTEND / "icon.svg")


def styles() -> None:
    """What the theme's settings cannot say, and the product's name."""
    st.html(_FRONTEND / "page.css")
    st.logo(str(_FRONTEND / "logo.svg"), size="large", icon_image=ICON)


def navigation() -> StreamlitPage:
    """The page that the address names."""
    names = ("Describe", "Search", "Ask", "Compare", "Duplicates", "Collections", "System")
    return st.navigation(
        [st.Page(page_file(name), title=name, default=name == names[0]) for name in names],
        position="top",
    )


def page_file(name: str) -> Path:
    """The file of a page, for links to it."""
    return _PAGES / name.lower() / f"{name.lower()}.py"


def picker() -> None:
    """Let the visitor choose a collection, which the address names from then on."""
    state, names = st.session_state, engine().names()
    if not names:
        state.pop(_KEY, None)
        return
    asked, gone = st.query_params.get(_KEY), state.pop(_GONE, "")
    if asked and asked not in {*names, gone}:
        said = (
            f"There is no collection “{asked[:63]}”. Choose another one: {', '.join(names[:10])}."
        )
        st.warning(escaped(said))
    if asked in names and state.get(_KEY) == state.get(_KEPT):
        state[_NEXT] = state.get(_NEXT, asked)  # a link led here: nobody used the widget
    if (wanted := state.pop(_NEXT, None)) in names:
        state[_KEY] = wanted
    known = (name for name in (state.get(_KEY), state.get(_KEPT)) if name in names)
    state[_KEY] = next(known, None) or shown_first(engine())
    if not asked and _BOUND not in state:
        st.query_params[_KEY] = state[_KEY]
    state[_BOUND] = True  # from now on the widget alone writes the address
    # No name is the default, which addresses leave out: so a link always names its collection.
    name = st.sidebar.selectbox("Collection", names, None, key=_KEY, bind="query-params")
    if name is None:  # back to an address without one
        st.rerun()
    state[_KEPT] = name


def menu_gives_way(page: str) -> None:
    """Have a phone close its menu when another page, or another collection, was chosen in it."""
    _menu(key="menu", data=f"{page} {st.session_state.get(_KEPT, '')}")


def choose(name: str) -> None:
    """Choose another collection, from the next run on."""
    st.session_state[_NEXT] = name


def forget(name: str) -> None:
    """Choose another collection in the next run, as this one is gone."""
    st.session_state[_GONE] = name
    if first := shown_first(engine()):
        choose(first)


def chosen() -> Collection:
    """The chosen collection, whose models begin to load; stops the page where there is none."""
    name = st.session_state.get(_KEY)
    if not name:
        st.info("There is no collection yet. Make one of your pictures first.")
        with st.container(key="doors"):
            st.page_link(page_file("Collections"), label="Make a collection", width="content")
        st.stop()
    warm_up(name)
    return engine().open(name)


def await_models(name: str, *, writer: bool = False) -> None:
    """Wait for the collection's encoder, with `writer` for all, and show how far they are."""
    warming, place = warm_up(name), st.empty()
    while not warming.is_ready(_LOOK_EVERY_S, writer=writer):
        now = warming.progress
        told = f"{escaped(now.stage)}: {now.amount}" if now else "a moment"
        place.progress(now.share if now else 0.0, f"Getting the models ready · {told}")
    place.empty()


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show errors of the block as one line with the remedy, never as a trace."""
    try:
        yield
    except Busy as error:
        st.warning(escaped(str(error)))
        st.button("Try again", key="try again")
    except MragError as error:
        st.error(escaped(placed(str(error))))
    except Exception:
        _LOG.exception("a page failed")
        st.error("Something went wrong here. What exactly is in the server's log.")
