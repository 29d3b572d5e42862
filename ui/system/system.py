"""The page System: what this installation has and lacks, as `mrag doctor` says it."""

from __future__ import annotations

import streamlit as st

from engine.doctor import Check, examine
from ui.shared.pictures import escaped
from ui.shared.resources import engine
from ui.shared.shell import errors_shown

_SIGNS = {"ok": ":green[:material/check_circle:]", "note": ":orange[:material/info:]",
          "missing": ":red[:material/error:]"}  # fmt: skip
_MEANING = {"missing": "Missing", "note": "Notes", "ok": "In order"}


def page() -> None:
    """The whole page."""
    st.title("System")
    with errors_shown():
        with st.spinner("Looking around"):
            checks = examine(engine(), load=False)
        _verdict(checks)
        for status, meaning in _MEANING.items():
            _group(meaning, [check for check in checks if check.status == status])
    if st.button("Look again"):
        st.rerun()


def _verdict(checks: list[Check]) -> None:
    missing = sum(check.status == "missing" for check in checks)
    if missing:
        st.error(f"{missing} of {len(checks)} things are missing; how to get them stands below.")
    else:
        st.success("All that is needed is here.")


def _group(meaning: str, checks: list[Check]) -> None:
    if not checks:
        return
    st.header(meaning)
    for check in checks:
        sign = _SIGNS[check.status]
        st.markdown(f"{sign} **{escaped(check.subject)}** {escaped(check.detail)}")


page()
