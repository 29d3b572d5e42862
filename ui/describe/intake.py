"""How pictures come in: dropped files, the clipboard, a camera, or a click on a sample."""

from __future__ import annotations

import base64
import binascii
import hashlib
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from engine.app import Collection
from engine.images import SUFFIXES
from engine.types import ImageHit
from ui.describe.describer import Given, admitted
from ui.shared.components import component, nothing
from ui.shared.pictures import Card, picture_grid
from ui.shared.resources import engine, thumbnails

_SAMPLES = 6
_SAMPLE_SIDE = 160
_TRAY, _ROUND, _LISTED = "describe tray", "describe round", "describe listed"
_SHOT = "describe shot"

_paste = component(
    "paste", '<button type="button">Paste a picture</button><p role="status"></p>', buttons=True
)


def tray(collection: Collection) -> list[Given]:
    """Show the ways in, and give all that came in and was not cleared, the newest first.

    It outlives a visit to another page, which empties the uploader.
    """
    state = st.session_state
    kept: list[Given] = state.setdefault(_TRAY, [])
    round_ = state.setdefault(_ROUND, 0)
    listed_before: set[str] = state.get(_LISTED, set()) if _files_key(round_) in state else set()
    ways, samples = st.columns([6, 7], gap="medium")
    with ways, st.container(key="drop-area"):
        dropped = _dropped(round_)
    with samples:
        other = _sampled(collection)
        with st.container(horizontal=True, vertical_alignment="center"):
            other += [*_pasted(), *_photographed(round_)]
    listed = state[_LISTED] = {item.id for item in dropped}
    kept = [item for item in kept if item.id not in listed_before - listed]
    new = [item for item in (*other, *dropped) if item.id not in {old.id for old in kept}]
    again = {item.id for item in other}  # a sample clicked once more comes to the top
    top = [item for item in kept if item.id in again]
    rest = [item for item in kept if item.id not in again]
    state[_TRAY] = _bounded([*top, *new, *rest], listed)
    return list(state[_TRAY])


def _bounded(items: list[Given], listed: set[str]) -> list[Given]:
    """Without the oldest of what is not in the uploader, beyond the limits of an upload."""
    settings = engine().settings
    held, _ = admitted(
        [item for item in items if item.id not in listed],
        max_files=settings.max_upload_files,
        max_bytes=settings.max_upload_bytes,
    )
    ids = listed | {item.id for item in held}
    return [item for item in items if item.id in ids]


def clear() -> None:
    """Forget all that came in."""
    st.session_state[_TRAY] = []
    st.session_state[_ROUND] += 1


def _files_key(round_: int) -> str:
    return f"files {round_}"


def _dropped(round_: int) -> list[Given]:
    settings = engine().settings
    files = st.file_uploader(
        "Drop pictures here",
        sorted(suffix[1:] for suffix in SUFFIXES),
        accept_multiple_files=True,
        key=_files_key(round_),
        max_upload_size=max(1, settings.max_image_bytes // 2**20),
    )
    return [_uploaded(file, "file ") for file in files]


def _uploaded(file: UploadedFile, kind: str) -> Given:
    return Given(kind + file.file_id, file.name, file.size, file.getvalue)


def _photographed(round_: int) -> list[Given]:
    # The browser asks for the camera as soon as it is shown, so only on demand.
    if not st.toggle("Use the camera", key="camera on"):
        return []
    shot = st.camera_input("Take a picture", key=f"camera {round_}")
    if shot is None or st.session_state.get(_SHOT) == shot.file_id:
        return []  # it stays in its widget, run after run, and came in with the first
    st.session_state[_SHOT] = shot.file_id
    return [_uploaded(shot, "camera ")]


def _pasted() -> list[Given]:
    limit = engine().settings.max_image_bytes
    data = {"max_bytes": limit}
    result = _paste(key="paste", data=data, on_pasted_change=nothing, width=180)
    pasted = read_pasted(result.get("pasted"), limit)
    return [pasted] if pasted else []


def read_pasted(value: Any, max_bytes: int) -> Given | None:
    """The picture that the paste element sent; None where it sent none that could be one."""
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, str) or len(data) > (max_bytes + 2) * 4 // 3 + 4:
        return None
    try:
        read = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    digest = hashlib.sha256(read).hexdigest()
    return Given(f"paste {digest}", "pasted picture", len(read), partial(bytes, read))


def _sampled(collection: Collection) -> list[Given]:
    hits = first_pictures(collection, _SAMPLES)
    if not hits:
        return []
    st.markdown("Or try one of these", help="Pictures of the collection, as if they were new to it")
    images = thumbnails().get([hit.uri for hit in hits], _SAMPLE_SIDE)
    cards = [
        Card(hit.id, image, next(iter(hit.captions), ""))
        for hit, image in zip(hits, images, strict=True)
    ]
    with st.container(key="samples-place"):
        clicked = picture_grid(cards, key="samples", columns_min_px=56, captions=False)
    return [sample(hit) for hit in hits if hit.id == clicked]


def first_pictures(collection: Collection, count: int) -> list[ImageHit]:
    """Some pictures of the collection, always the same."""
    return collection.images.get(list(islice(collection.images.ids(), count)))


def sample(hit: ImageHit) -> Given:
    """A picture of the collection as something to describe."""
    path = Path(hit.uri)
    return Given(f"sample {hit.id}", path.name, 0, lambda: path)


def hand_over(hit: ImageHit) -> None:
    """Have a picture of the collection described on the next visit, before all else."""
    kept: list[Given] = st.session_state.get(_TRAY, [])
    given = sample(hit)
    st.session_state[_TRAY] = [given, *(one for one in kept if one.id != given.id)]
