"""Deletes a collection: its embeddings, its indexes, and what was uploaded to it."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from corpus.lock import writing
from engine.app import Engine
from engine.errors import (
    CollectionMissing,
    IncompatibleIndex,
    InvalidInput,
    StoreLocked,
    StoreUnavailable,
)
from engine.store import free_indexes
from ingest.jobs.archive import uploads
from ingest.jobs.records import JobRecords, remove_records
from ingest.samples import forget


def delete(engine: Engine, name: str) -> None:
    """Delete a collection for good; pictures that were not uploaded stay where they are.

    It is gone at once or not at all: a kill leaves a collection that is whole (on a server it
    may have to be pushed again), or none. Sessions that have it open are told that it is closed.

    Raises CollectionMissing where there is none, InvalidInput while another collection takes
    its captions from it, StoreLocked while it is being written or open in another process.
    """
    folder = engine.folder(name)
    home = engine.settings.home
    if not folder.path.is_dir():
        raise CollectionMissing(f"there is no collection {name!r} in {folder.path.parent}")
    _check_no_borrower(engine, name)
    _check_no_job(home, name)
    with writing(folder):
        engine.release(name)
        free_indexes(folder, engine.settings)
        remove_records(home, name)
        gone = [_set_aside(home, place) for place in (folder.path, uploads(home, name))]
        engine.release(name)  # a session may have opened it meanwhile
        forget(home, name)  # a sample that was deleted does not come back by itself
    for place in gone:
        shutil.rmtree(place, ignore_errors=True)
    empty_trash(home)


def empty_trash(home: Path) -> None:
    """Remove what a killed deletion left behind."""
    shutil.rmtree(home / "trash", ignore_errors=True)


def _check_no_borrower(engine: Engine, name: str) -> None:
    borrowers = []
    for other in engine.names():
        try:
            if engine.folder(other).read_card().memory == name:
                borrowers.append(other)
        except (CollectionMissing, IncompatibleIndex):
            continue
    if borrowers:
        raise InvalidInput(
            f"collection {name!r} is the memory of {', '.join(borrowers)}, whose pictures are "
            "described with its captions; delete that first"
        )


def _check_no_job(home: Path, name: str) -> None:
    records = JobRecords(home)
    for job in records.read():
        if job.collection == name and job.is_active and records.is_alive(job.owner):
            raise StoreLocked(
                f"an ingest into collection {name!r} waits or runs; cancel it first, in the app "
                "that it was started in"
            )


def _set_aside(home: Path, place: Path) -> Path:
    """Move a folder to the trash of the same disk, which takes no time."""
    aside = home / "trash" / f"{place.name}-{secrets.token_hex(4)}"
    try:
        aside.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            place.rename(aside)
    except OSError as error:
        raise StoreUnavailable(
            f"{place} cannot be deleted: {error.strerror}; check who may write there"
        ) from error
    return aside
