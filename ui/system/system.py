"""The page System: what this installation has and lacks, as `mrag doctor` says it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.doctor import Check, examine
from ui.shared.pictures import escaped
from ui.shared.places import may, placed
from ui.shared.resources import engine
from ui.shared.shell import errors_shown

_SIGNS = {"ok": ":green[:material/check_circle:]", "note": ":orange[:material/info:]",
          "missing": ":red[:material/error:]"}  # fmt: skip
_OWN_MODELS = frozenset({"encoder", "generator"})
"""Checks of the models that the settings name, which no collection may need."""


def page() -> None:
    """The whole page."""
    st.title("System")
    st.markdown("Whether all is here that mRAG needs, and how to get what is not.")
    with errors_shown():
        with st.spinner("Looking around"):
            checks = examine(engine(), load=False)
        _verdict(checks)
        missing, notes, fine = (
            [check for check in checks if check.status == status]
            for status in ("missing", "note", "ok")
        )
        _group("Missing", missing)
        _group("Good to know", notes)
        with st.expander(f"In order ({len(fine)})", icon=":material/checklist:"):
            _list(fine)
        if not may("admin"):
            st.caption("Where files lie on this server is shown to its admins alone.")
    if st.button("Look again", icon=":material/refresh:"):
        st.rerun()


def _verdict(checks: Sequence[Check]) -> None:
    """All that is needed is here only where nothing has to be fetched to go on."""
    missing = [check for check in checks if check.status == "missing"]
    absent = [check for check in checks if check.status != "ok" and _is_model(check)]
    if missing and not all(check.subject in _OWN_MODELS for check in missing):
        told = "is missing; how to get it" if len(missing) == 1 else "are missing; how to get them"
        st.error(f"{len(missing)} of {len(checks)} things {told} stands below.")
    elif any(check.subject not in _OWN_MODELS for check in absent):
        st.warning("Some collections need models that are not here yet; they stand below.")
    elif any(check.status != "ok" and _is_collection(check) for check in checks):
        st.warning("Some collections cannot answer as they should; they stand below.")
    elif absent:
        st.info(
            "All that the collections need is here. The models of your settings are not: new "
            "collections are made with those that are here, unless you choose to fetch others."
        )
    else:
        st.success("All that is needed is here, for new collections too.")


def _is_collection(check: Check) -> bool:
    return check.subject.split()[0] == "collection"


def _is_model(check: Check) -> bool:
    return check.subject.split()[0] in _OWN_MODELS


def _group(meaning: str, checks: Sequence[Check]) -> None:
    if checks:
        st.header(meaning)
        _list(checks)


def _list(checks: Sequence[Check]) -> None:
    for check in checks:
        told = placed(check.detail)
        st.markdown(f"{_SIGNS[check.status]} **{escaped(check.subject)}** {escaped(told)}")


page()
