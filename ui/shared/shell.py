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
from ui.shared.pictures import escaped
from ui.shared.resources import engine, warm_up

_LOG = logging.getLogger(__name__)
_PAGES = Path(__file__).parents[1]
_FRONTEND = Path(__file__).parent / "frontend"
_KEY = "collection"
_LOOK_EVERY_S = 0.5

ICON = str(_FRONTEND / "icon.svg")


def styles() -> None:
    """What the theme's settings cannot say."""
    st.html(_FRONTEND / "page.css")


def navigation() -> StreamlitPage:
    """The page that the address names."""
    names = ("Describe", "Search", "Compare", "Collections", "System")
    return st.navigation(
        [st.Page(page_file(name), title=name, default=name == names[0]) for name in names],
        position="top",
    )


def page_file(name: str) -> Path:
    """The file of a page, for links to it."""
    return _PAGES / name.lower() / f"{name.lower()}.py"


def picker() -> None:
    """Let the visitor choose a collection, which the address then names."""
    names = engine().names()
    if not names:
        return
    asked = st.query_params.get(_KEY)
    if asked and asked not in names:
        said = (
            f"There is no collection “{asked[:63]}”. Choose another one: {', '.join(names[:10])}."
        )
        st.warning(escaped(said))
    preferred = engine().settings.collection
    index = names.index(preferred) if preferred in names else 0
    st.sidebar.selectbox("Collection", names, index, key=_KEY, bind="query-params")


def chosen() -> Collection:
    """The chosen collection, whose models begin to load; stops the page where there is none."""
    name = st.session_state.get(_KEY)
    if not name:
        st.info("There is no collection yet. Make one of your pictures first.")
        st.page_link(page_file("Collections"), label="Make a collection")
        st.stop()
    warm_up(name)
    return engine().open(name)


def await_models(name: str, *, writer: bool = False) -> None:
    """Wait for the collection's encoder, with `writer` for all, and show how far they are."""
    warming, place = warm_up(name), st.empty()
    while not warming.is_ready(_LOOK_EVERY_S, writer=writer):
        if now := warming.progress:
            place.progress(now.share, f"{escaped(now.stage)}: {now.amount}")
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
        st.error(escaped(str(error)))
    except Exception:
        _LOG.exception("a page failed")
        st.error("Something went wrong here. What exactly is in the server's log.")
