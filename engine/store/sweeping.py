"""Removes generations of an index that answer no more, or never did."""

from __future__ import annotations

import shutil
from contextlib import suppress

from engine.collection import CollectionFolder
from engine.errors import MragError
from engine.folder_lock import unread
from engine.settings import Settings
from engine.store.addresses import same_place
from engine.store.generations import GenerationFolder, current, generations

_OLD_LAYOUT = ("index/captions", "index/images", "level.txt", "gap.safetensors")
"""What an index without generations was."""


def sweep(folder: CollectionFolder, settings: Settings) -> bool:
    """Remove the generations before the current one that nobody reads; whether all have gone.

    Safe beside a push: what is being written has a higher number than the one that answers.
    """
    now = current(folder)
    if now is None:
        return True
    old = [one for one in generations(folder) if one.number < now.number]
    gone = [remove(folder, one, settings) for one in old]
    return all(gone)


def sweep_all(folder: CollectionFolder, settings: Settings) -> None:
    """Remove all but the current generation: for the one writer, before it begins.

    What a killed push left goes too, and on a server what no folder here knows of.
    """
    now = current(folder)
    for generation in generations(folder):
        if now is None or generation.number != now.number:
            remove(folder, generation, settings)
    if settings.qdrant_url:
        from engine.store.server_collections import drop_collections, numbers_on_server

        kept = {generation.number for generation in generations(folder)}
        if lost := numbers_on_server(settings, folder.name) - kept:
            drop_collections(settings, folder.name, lost)
    for path in folder.index.glob(".*.gone"):
        shutil.rmtree(path, ignore_errors=True)
    for pattern in (".*.partial", "*/.*.partial"):
        for path in folder.index.glob(pattern):
            path.unlink(missing_ok=True)


def sweep_old_layout(folder: CollectionFolder) -> None:
    """Remove the index that was there before there were generations, once one answers."""
    for name in _OLD_LAYOUT:
        path = folder.path / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def remove(folder: CollectionFolder, generation: GenerationFolder, settings: Settings) -> bool:
    """Remove a generation unless somebody holds it, and whether it is gone."""
    with unread(generation.path) as free:
        if not free:
            return False
        state = generation.read_state()
        place = "" if state is None else state.place
        if place and same_place(place, settings.qdrant_url):
            from engine.store.server_collections import drop_collections

            try:
                drop_collections(settings, folder.name, {generation.number})
            except MragError:
                return False
        # At once, so that no half of it is taken for a generation.
        gone = generation.path.with_name(f".{generation.path.name}.gone")
        shutil.rmtree(gone, ignore_errors=True)
        with suppress(OSError):
            generation.path.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
    return not generation.path.exists()


def next_number(folder: CollectionFolder, settings: Settings) -> int:
    """A number that no generation has, here or on the server."""
    taken = {generation.number for generation in generations(folder)}
    if settings.qdrant_url:
        from engine.store.server_collections import numbers_on_server

        taken |= numbers_on_server(settings, folder.name)
    return 1 + max(taken, default=0)
