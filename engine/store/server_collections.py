"""The collections that a Qdrant server keeps of ours: made, listed, named and removed."""

from __future__ import annotations

import re
from collections.abc import Container
from functools import partial
from typing import Any

from qdrant_client import models

from engine.settings import Settings
from engine.store.generations import number_text
from engine.store.interface import INDEXES, WORDS, IndexSpec
from engine.store.made_with import made_with
from engine.store.server_calls import ServerCalls, calling

_SAFE_NODES = 3
"""With so many nodes each shard is kept twice: one of fewer that goes leaves no majority."""


def name_of(collection: str, index: str, number: int) -> str:
    """The server's collection of an index of a generation."""
    return f"{_alias_of(collection, index)}-{number_text(number)}"


def make_collection(call: ServerCalls, name: str, spec: IndexSpec, settings: Settings) -> None:
    """Make a collection for an index, spread over a cluster as the settings say."""
    params = models.VectorParams(
        size=spec.dim,
        distance=models.Distance.COSINE,
        datatype=models.Datatype.FLOAT16,
    )
    words = models.SparseVectorParams(modifier=models.Modifier.IDF)
    replicas = settings.qdrant_replicas or (2 if call.nodes() >= _SAFE_NODES else 1)
    call(
        lambda client: client.create_collection(
            name,
            vectors_config=dict.fromkeys(spec.vectors, params),
            sparse_vectors_config={WORDS: words} if spec.typical_words else None,
            shard_number=settings.qdrant_shards or None,
            replication_factor=replicas,
            write_consistency_factor=settings.qdrant_write_consistency or None,
            metadata=made_with(spec),
        )
    )


def fan_out(call: ServerCalls, name: str, factor: int) -> None:
    """Have every read asked of so many more replicas, of which the first answers."""
    change = models.CollectionParamsDiff(read_fan_out_factor=factor)
    call(lambda client: client.update_collection(name, collection_params=change))


def server_status(settings: Settings) -> str:
    """What the server is; raises StoreUnavailable."""
    with calling(settings) as call:
        count = len(call(lambda client: client.get_collections()).collections)
        return f"Qdrant server at {call.server}, {count} collections"


def drop_collections(
    settings: Settings, collection: str, numbers: Container[int] | None = None
) -> None:
    """Remove generations of a collection of ours from the server, by default all that is its.

    Raises StoreUnavailable.
    """
    with calling(settings, collection) as call:
        for name, number in _kept_of(call, collection).items():
            if numbers is None or number in numbers:
                call(partial(_drop, name))


def numbers_on_server(settings: Settings, collection: str) -> set[int]:
    """The generations that the server has something of; raises StoreUnavailable."""
    with calling(settings, collection) as call:
        return {number for number in _kept_of(call, collection).values() if number}


def point_aliases(settings: Settings, collection: str, number: int) -> None:
    """Let the names without a number, for readers other than ours, mean a generation: all at once.

    Collections of these names, from before there were generations, go for it. Raises
    StoreUnavailable.
    """
    aliases = [
        models.CreateAliasOperation(
            create_alias=models.CreateAlias(
                collection_name=name_of(collection, index, number),
                alias_name=_alias_of(collection, index),
            )
        )
        for index in INDEXES
    ]
    with calling(settings, collection) as call:
        for name, kept in _kept_of(call, collection).items():
            if not kept:
                call(partial(_drop, name))
        call(lambda client: client.update_collection_aliases(aliases))


def _kept_of(call: ServerCalls, collection: str) -> dict[str, int]:
    """What the server has of a collection of ours: name -> generation, 0 for none."""
    names = "|".join(map(re.escape, (_alias_of(collection, index) for index in INDEXES)))
    ours = re.compile(rf"(?:{names})(?:-(\d{{6,}}))?")
    there = call(lambda client: client.get_collections()).collections
    found = (ours.fullmatch(one.name) for one in there)
    return {match[0]: int(match[1] or 0) for match in found if match}


def _drop(name: str, client: Any) -> bool:
    dropped: bool = client.delete_collection(name)
    return dropped


def _alias_of(collection: str, index: str) -> str:
    return f"mrag-{collection}-{index}"
