"""A search that cannot be read, as every page shows it: why, and where."""

from __future__ import annotations

import streamlit as st

from engine.errors import InvalidSearch
from ui.shared.pictures import escaped

_AROUND = 60
"""Characters that are shown before and after what cannot be read."""


def show_unread(error: InvalidSearch) -> None:
    """Say why it cannot be read, with the place marked where that is known."""
    typed = error.typed
    before, after = typed[: error.start], typed[error.end :]
    shown = before if len(before) <= _AROUND else f"…{before[-_AROUND:]}"
    meant = escaped(typed[error.start : error.end][: 2 * _AROUND])
    marked = f":orange-background[**{meant}**]" if meant else ""
    place = f"\n\n{escaped(shown)}{marked}{escaped(after[:_AROUND])}" if typed else ""
    st.error(f"{escaped(str(error))}{place}")
