"""The form that makes a collection, or adds to one, on the page Collections."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import streamlit as st

from engine.errors import InvalidInput
from mrag_client.models import IngestOptions
from ui.shared.resources import engine, jobs
from ui.shared.shell import errors_shown

_OWN = "its own captions"
_ZIP, _FOLDER = "A zip of pictures", "A folder of this machine"
_FORMS = "new collection forms"
_LISTED = 200

Source = Path | tuple[str, BytesIO] | None


def show_form() -> None:
    """Ask for a name and a source, and start to ingest it in the background."""
    st.header("New collection")
    st.caption(
        "Pictures, in folders if you like, with captions in text files of the same name or in one "
        "table beside them. A name that exists already gets more pictures."
    )
    root = engine().settings.source_root
    kind = _ZIP
    if root is not None:
        kind = st.segmented_control("From", [_ZIP, _FOLDER], default=_ZIP, required=True) or _ZIP
    # A form that has been sent is replaced by an empty one.
    with st.form(f"new collection {st.session_state.setdefault(_FORMS, 0)}"):
        name = st.text_input("Name", placeholder="holidays", max_chars=63)
        source = _folder(root) if kind == _FOLDER and root is not None else _upload()
        memory = st.selectbox(
            "Describe pictures from",
            [_OWN, *engine().names()],
            format_func=lambda one: one if one == _OWN else f"captions of {one}",
            help="Pictures without captions are described from those of another collection.",
        )
        if st.form_submit_button("Ingest", type="primary"):
            with errors_shown():
                _start(name.strip(), source, "" if memory == _OWN else memory)


def _upload() -> Source:
    limit = engine().settings.max_upload_bytes
    file = st.file_uploader("Zip archive", type="zip", max_upload_size=max(1, limit // 2**20))
    return None if file is None else (file.name, file)


def _folder(root: Path) -> Source:
    chosen = st.selectbox(
        "Folder",
        _folders(root),
        index=None,
        accept_new_options=True,
        placeholder="Choose one, or type a path inside the folder allowed",
        help="Only what lies inside the folder that MRAG_SOURCE_ROOT names can be read.",
    )
    return Path(chosen) if chosen else None


def _folders(root: Path) -> list[str]:
    """The folders right below the root, the first of them by name."""
    try:
        with os.scandir(root) as found:
            names = [item.name for item in found if item.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return sorted(name for name in names if not name.startswith("."))[:_LISTED]


def _start(name: str, source: Source, memory: str) -> None:
    if not name:
        raise InvalidInput("the collection has no name yet; type one")
    if source is None:
        raise InvalidInput("there is nothing to ingest yet; choose a zip or a folder")
    if isinstance(source, Path):
        jobs().start(name, source, IngestOptions(memory=memory))
    else:
        filename, file = source
        jobs().start_upload(name, file, filename, IngestOptions(memory=memory))
    st.session_state[_FORMS] += 1
    st.rerun()
