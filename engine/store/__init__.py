"""Where captions and pictures are kept and found: embedded, or on a Qdrant server."""

from __future__ import annotations

from pathlib import Path

from engine.collection import CollectionCard, CollectionFolder
from engine.settings import Settings
from engine.store.caption_store import CaptionStore, caption_spec
from engine.store.generations import (
    GenerationFolder,
    GenerationState,
    Hold,
    answering,
    begin,
    change_over,
    current,
    generations,
)
from engine.store.holes import room_for
from engine.store.ids import caption_id, picture_id
from engine.store.image_store import ImageStore, image_spec
from engine.store.interface import IndexSpec, VectorIndex

__all__ = [
    "CaptionStore",
    "ImageStore",
    "caption_id",
    "caption_spec",
    "check_bytes",
    "free_indexes",
    "image_spec",
    "open_caption_store",
    "open_image_store",
    "picture_id",
    "room_for",
    "store_status",
]


def open_caption_store(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    *,
    number: int | None = None,
    create: bool = False,
) -> CaptionStore:
    """Open a collection's captions: on the server if settings name one, else embedded.

    Those of the generation of that `number`, by default of the one that answers. `create` makes
    them, and without any generation the first one.

    Raises CollectionMissing when there are none and `create` is False, IncompatibleIndex when
    they were made with another encoder or dimension, StoreUnavailable when the store is locked
    by another process, down or refuses the key.
    """
    return CaptionStore(*_open_index(folder, caption_spec(card), settings, number, create))


def open_image_store(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    *,
    number: int | None = None,
    create: bool = False,
) -> ImageStore:
    """Open a collection's pictures; see `open_caption_store`."""
    return ImageStore(*_open_index(folder, image_spec(card), settings, number, create))


def free_indexes(folder: CollectionFolder, settings: Settings) -> None:
    """Make a collection's folder ready to be deleted: remove what a server keeps of it.

    Embedded indexes lie in the folder. Raises StoreLocked where another process has them open,
    StoreUnavailable where the server cannot be asked.
    """
    if settings.qdrant_url:
        from engine.store.server_collections import drop_collections

        drop_collections(settings, folder.name)
        return
    from engine.store.edge_folder import check_free

    for generation in generations(folder):
        for path in generation.path.glob("*/"):
            check_free(path, folder.name)


def check_bytes(path: Path, name: str) -> None:
    """Read an embedded index byte by byte: raises Damaged where it is not what was written."""
    from engine.store import edge_folder

    edge_folder.check_bytes(path, name)


def store_status(settings: Settings) -> str:
    """Which store is used; asks a server whether it answers, which raises StoreUnavailable."""
    if not settings.qdrant_url:
        return f"embedded, under {settings.home}"
    from engine.store.server_collections import server_status

    return server_status(settings)


def _open_index(
    folder: CollectionFolder,
    spec: IndexSpec,
    settings: Settings,
    number: int | None,
    create: bool,
) -> tuple[VectorIndex, Hold]:
    """The index, and the hold that keeps its generation."""
    place = settings.qdrant_url
    if number is None:
        if create and current(folder) is None:
            change_over(folder, begin(folder, 1, GenerationState(place=place)).number)
        number = answering(folder, place)[0].number
    generation = GenerationFolder(folder, number)
    hold = Hold(generation)
    if place:
        from engine.store.server import ServerIndex  # takes a second to import
        from engine.store.server_calls import ServerCalls, connect

        call = ServerCalls(connect(settings), spec.collection)
        return ServerIndex(call, spec, number, settings, create=create), hold
    from engine.store.embedded import EdgeIndex

    path = generation.index(spec.name)
    return (EdgeIndex.open_or_make(path, spec) if create else EdgeIndex(path, spec)), hold
