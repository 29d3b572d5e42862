"""A video on the page Describe: what is seen in it, shot by shot, to be played and taken away."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePath

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from engine.app import Collection
from engine.errors import UnreadableImage
from engine.video.address import VIDEO_SUFFIXES, clock
from mrag_client.answers import NamedPicture
from mrag_client.models import OutlineAnswer, OutlineOptions, OutlineShot
from service.outlining import outline
from service.takeaway.subtitles import as_srt, as_vtt
from ui.shared.pictures import escaped
from ui.shared.resources import engine
from ui.shared.shell import await_models
from ui.shared.videos import begins

_OUTLINES = "describe outlines"
_TOGETHER = 8


def film(collection: Collection) -> None:
    """A place for a video; what is seen in the one that is there, and buttons to take it away."""
    with st.expander("Describe a video", icon=":material/movie:", key="a video"):
        file = st.file_uploader(
            "Drop a video here",
            sorted(suffix[1:] for suffix in VIDEO_SUFFIXES),
            key="video file",
            max_upload_size=max(1, engine().settings.max_upload_bytes // 2**20),
        )
        if file is None:
            st.caption(
                "Each shot is described, with its time. A long video is better added on the page "
                "Collections: it stays where it lies."
            )
            return
        try:
            parts = _outlined(file, collection)
        except UnreadableImage as error:
            st.error(escaped(str(error)))
            return
        _show(file, parts)


def _outlined(file: UploadedFile, collection: Collection) -> list[OutlineAnswer]:
    """What is seen in a video; said once, however often the page is run."""
    now = collection.current
    key = (file.file_id, collection.card.name, now.number)
    known: dict[object, list[OutlineAnswer]] = st.session_state.setdefault(_OUTLINES, {})
    if key not in known:
        await_models(collection.card.name, writer=True)
        known.clear()
        known[key] = _watched(file, collection)
    return known[key]


def _watched(file: UploadedFile, collection: Collection) -> list[OutlineAnswer]:
    parts: list[OutlineAnswer] = []
    bar = st.progress(0.0, "Watching ...")
    with tempfile.TemporaryDirectory(prefix="mrag-video-") as folder:
        path = Path(folder, f"video{PurePath(file.name).suffix}")
        path.write_bytes(file.getbuffer())
        start: float | None = 0.0
        while start is not None:
            options = OutlineOptions(start=start, shots=_TOGETHER)
            given = NamedPicture(file.name, path)
            try:
                part = outline(collection, given, options, engine().settings.limits)
            except UnreadableImage as error:
                bar.empty()
                told = str(error).removeprefix(f"{path}: ")
                raise UnreadableImage(f"{file.name}: {told}") from error
            parts.append(part)
            start = part.next
            if start is not None and part.seconds:
                done = f"Watched {clock(start)} of {clock(part.seconds)}"
                bar.progress(min(1.0, start / part.seconds), done)
    bar.empty()
    return parts


def _show(file: UploadedFile, parts: list[OutlineAnswer]) -> None:
    shots = [shot for part in parts for shot in part.shots]
    if trouble := parts[-1].trouble:
        st.warning(escaped(f"What could be seen of it was described: {trouble}"))
    at = st.selectbox(
        "Play from", range(len(shots)), format_func=lambda at: _told(shots[at]), key="play from"
    )
    chosen = shots[at or 0]
    st.video(
        file, start_time=begins(chosen.start, chosen.end), subtitles={"What is seen": as_vtt(parts)}
    )
    st.markdown("\n".join(f"- {escaped(_told(shot))}" for shot in shots))
    stem = PurePath(file.name).stem
    with st.container(horizontal=True):
        st.download_button(
            "Download WebVTT", as_vtt(parts), f"{stem}.vtt", "text/vtt", on_click="ignore",
            help="Subtitles that browsers show beside the video",
        )  # fmt: skip
        st.download_button(
            "Download SubRip", as_srt(parts), f"{stem}.srt", "application/x-subrip",
            on_click="ignore", help="The same for most players",
        )  # fmt: skip


def _told(shot: OutlineShot) -> str:
    return f"{clock(shot.start)}  {shot.caption or shot.error}"
