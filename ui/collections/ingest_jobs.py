"""The ingests that run in the background, on the page Collections."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import streamlit as st

from engine.legible import legible
from ingest.jobs.records import Job
from ui.collections.sources import done_text
from ui.shared.pictures import escaped
from ui.shared.places import may, placed
from ui.shared.resources import engine, jobs
from ui.shared.shell import errors_shown, page_file

_EVERY_S = 1.0
_SHOWN = 5
_NAMED = 100
_STOPPED = ":gray[:material/pause_circle:]"
_SIGNS = {"done": ":green[:material/check_circle:]", "failed": ":red[:material/error:]"}
_STATES = {
    "waiting": "waits",
    "running": "runs",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "interrupted": "interrupted, as the app ended",
}


def show_jobs() -> None:
    """The jobs that wait or run, told anew every second, and those that have ended."""
    with errors_shown():
        known = jobs().all()
        if not known:
            return
        active = [job for job in known if job.is_active]
        st.header("Being added" if active else "Lately added")
        if active:
            st.fragment(_show_active, run_every=_EVERY_S)([job.id for job in active])
        for job in islice((job for job in known if not job.is_active), _SHOWN):
            _show_ended(job)


def _show_active(ids: list[str]) -> None:
    """Those that wait or run; once one of them has ended the whole page is told."""
    with errors_shown():
        active = [job for job in jobs().all() if job.is_active]
        if [job.id for job in active] != ids:
            st.rerun()
        for job in active:
            _show_running(job)


def _show_running(job: Job) -> None:
    with st.container(border=True):
        st.progress(
            job.progress.share if job.progress else 0.0,
            text=f"**{job.collection}** from {escaped(job.shown)}: {_step(job)}",
        )
        if may("write") and st.button(
            "Stopping" if job.stopping else "Cancel",
            key=f"cancel {job.id}",
            disabled=job.stopping,
            help=f"Stop filling {job.collection}; what is done is kept",
        ):
            jobs().cancel(job.id)
            st.rerun()


def _step(job: Job) -> str:
    progress = job.progress
    if job.stopping:
        return "stops after this step"
    if job.state == "waiting" or progress is None:
        return _STATES[job.state]
    if progress.total or progress.done:
        return f"{escaped(progress.stage)}: {progress.amount}"
    return escaped(progress.stage)


def _show_ended(job: Job) -> None:
    with st.container(border=True, key=f"job {job.id}"):
        st.markdown(
            f"{_SIGNS.get(job.state, _STOPPED)} **{job.collection}** from {escaped(job.shown)}: "
            f"{_STATES[job.state]} {job.ended or job.started:%Y-%m-%d %H:%M} UTC"
        )
        if job.state == "failed":
            st.error(escaped(placed(job.message)))
        elif job.message:
            with st.expander("What was done"):
                st.code(placed(done_text(job)), language=None, wrap_lines=True)
        if job.skipped:
            with st.expander(f"{job.skipped:,} could not be read"):
                st.code("\n".join(_skipped(job)), language=None, wrap_lines=True)
        _offer(job)


def _offer(job: Job) -> None:
    """What may be done now."""
    with st.container(key=f"go-on {job.id}", horizontal=True, vertical_alignment="center"):
        if engine().folder(job.collection).exists():
            st.page_link(
                page_file("Search"),
                label="Search it",
                icon=":material/search:",
                query_params={"collection": job.collection},
                width="content",
            )
        if not may("write"):
            return
        if job.state != "done":
            told = "Go on from what is done"
            st.button("Resume", key=f"resume {job.id}", help=told, on_click=_resume, args=(job.id,))
        st.button(
            "Dismiss",
            key=f"dismiss {job.id}",
            help="Take this from the list; what was added stays",
            on_click=_dismiss,
            args=(job.id,),
        )


def _resume(key: str) -> None:
    with errors_shown():
        jobs().resume(key)


def _dismiss(key: str) -> None:
    with errors_shown():
        jobs().dismiss(key)


def _skipped(job: Job) -> Iterator[str]:
    """What the job could not read, and why."""
    for one in islice(jobs().skipped(job.id), _NAMED):
        yield placed(legible(f"{one.uri}: {one.reason}"))
