"""The form that makes a collection, or adds to one, on the page Collections."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import streamlit as st

from engine.errors import InvalidInput, MragError
from engine.footprint import readable
from engine.models.presence import absent_bytes
from ingest.filling import Specs, specs_of_card
from ingest.model_choice import ModelChoice, model_choices
from mrag_client.models import IngestOptions
from ui.shared.pictures import escaped
from ui.shared.resources import engine, jobs
from ui.shared.shell import errors_shown

_OWN = "its own captions"
_ZIP, _FOLDER = "A zip of pictures", "A folder of this machine"
_FORMS = "new collection forms"
_LISTED = 200
_CALLED = {
    "sample": "Small ones of the sample",
    "fast": "Quick ones",
    "paper": "The paper's large ones",
}
_ADVICE = {
    "sample": "They know little more than the sample's pictures: good for trying things out, not "
    "for photographs.",
    "fast": "Good for photographs.",
    "paper": "The best, and slow without a GPU.",
}

Source = Path | tuple[str, BytesIO] | None


def show_form() -> None:
    """Ask for a name and a source, and start to ingest it in the background."""
    st.header("New collection")
    st.markdown(
        "A zip of pictures, in folders if you like. Captions, if you have some, lie in text files "
        "of the same name or in one table beside the pictures; a picture without "
        "one is described from the others'."
    )
    with st.container(border=True, key="new-collection"), errors_shown():
        _form(st.session_state.setdefault(_FORMS, 0))


def _form(number: int) -> None:
    """One that has been sent is replaced by an empty one, of another number."""
    root = engine().settings.source_root
    kind = _ZIP
    if root is not None:
        kind = st.segmented_control("From", [_ZIP, _FOLDER], default=_ZIP, required=True) or _ZIP
    name = st.text_input(
        "Name",
        placeholder="holidays",
        max_chars=63,
        key=f"new name {number}",
        help="One that exists already gets more pictures.",
    ).strip()
    from_folder = kind == _FOLDER and root is not None
    source = _folder(root, number) if from_folder and root else _upload(number)
    adding = name in engine().names()
    memory, models = ("", None) if adding else _words_and_models(number)
    if adding:
        st.caption(f"Adds to {name}: {_named_models(specs_of_card(engine(), name))}.")
    label = f"Add to {name}" if adding else "Make the collection"
    # A zip that is still on its way is none yet: what was clicked meanwhile would be lost.
    missing = "Choose a zip or a folder first." if source is None else None
    sent = st.button(
        label, type="primary", key=f"new sent {number}", disabled=source is None, help=missing
    )
    if sent and source is not None:
        with errors_shown():
            _start(name, source, memory, models)


def _words_and_models(number: int) -> tuple[str, Specs | None]:
    """The collection that describes ("" for the new one itself), and the models to use."""
    memory = st.selectbox(
        "Describe pictures with",
        [_OWN, *engine().names()],
        format_func=lambda one: one if one == _OWN else f"captions of {one}",
        key=f"new memory {number}",
        help="Pictures without captions are described from those of another collection.",
    )
    if memory != _OWN:
        models = specs_of_card(engine(), "", memory)
        st.caption(f"Models: those of {memory}, {_named_models(models)}.")
        return memory, None
    st.caption("If none of your pictures has a caption, choose a collection that describes them.")
    choices = {choice.specs: choice for choice in model_choices(engine())}
    specs = st.selectbox(
        "Models",
        list(choices),
        format_func=lambda one: _label(choices[one]),
        key=f"new models {number}",
        help="One sees the pictures (the encoder), one writes (the generator). A collection keeps "
        "those that it was made with.",
    )
    _explain(choices[specs])
    return "", specs


def _label(choice: ModelChoice) -> str:
    called = _CALLED.get(choice.profile, "Those of your settings")
    if choice.used_by and not choice.profile:
        called = f"As in {', '.join(choice.used_by[:3])}"
    return f"{called} ({'here' if choice.is_here else 'to be fetched first'})"


def _explain(choice: ModelChoice) -> None:
    told = [f"{_named_models(choice.specs)}.", _ADVICE.get(choice.profile, "")]
    if choice.used_by:
        told.append(f"Used by {', '.join(choice.used_by[:3])}.")
    if not choice.is_here:
        told.append(_fetching(*choice.specs))
    st.caption(escaped(" ".join(filter(None, told))))


@st.cache_data(ttl=600, show_spinner=False)
def _fetching(encoder: str, generator: str) -> str:
    try:
        return f"{readable(absent_bytes(encoder, generator))} are fetched first."
    except MragError:
        return (
            "They would be fetched first, but the hub cannot be reached now: the page System says "
            "how to bring them."
        )


def _named_models(specs: Specs) -> str:
    """What they are called, folders of this machine by their last part."""
    found = (spec.removeprefix("local-dir:") for spec in specs)
    return " and ".join(Path(spec).name if Path(spec).is_absolute() else spec for spec in found)


def _upload(number: int) -> Source:
    limit = engine().settings.max_upload_bytes
    file = st.file_uploader(
        "Zip archive", type="zip", max_upload_size=max(1, limit // 2**20), key=f"new zip {number}"
    )
    return None if file is None else (file.name, file)


def _folder(root: Path, number: int) -> Source:
    chosen = st.selectbox(
        "Folder",
        _folders(root),
        index=None,
        accept_new_options=True,
        placeholder="Choose one, or type a path inside the folder allowed",
        key=f"new folder {number}",
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


def _start(
    name: str, source: Path | tuple[str, BytesIO], memory: str, models: Specs | None
) -> None:
    if not name:
        raise InvalidInput("the collection has no name yet; type one")
    options = IngestOptions(memory=memory)
    if isinstance(source, Path):
        jobs().start(name, source, options, models=models)
    else:
        filename, file = source
        jobs().start_upload(name, file, filename, options, models=models)
    st.session_state[_FORMS] += 1
    st.rerun()
