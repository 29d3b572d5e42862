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
from ui.pictures import escaped
from ui.resources import engine, warm_up

_LOG = logging.getLogger(__name__)
_PAGES = Path(__file__).parent
_KEY = "collection"

ICON = str(_PAGES / "frontend" / "icon.svg")


def styles() -> None:
    """What the theme's settings cannot say."""
    st.html(_PAGES / "frontend" / "page.css")


def navigation() -> StreamlitPage:
    """The page that the address names."""
    return st.navigation(
        [
            st.Page(_PAGES / "describe.py", title="Describe", default=True),
            st.Page(_PAGES / "search.py", title="Search"),
            st.Page(_PAGES / "compare.py", title="Compare"),
            st.Page(_PAGES / "collections.py", title="Collections"),
            st.Page(_PAGES / "system.py", title="System"),
        ],
        position="top",
    )


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
        st.page_link(_PAGES / "collections.py", label="Make a collection")
        st.stop()
    warm_up(name)
    return engine().open(name)


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
