"""The server adapter over real gRPC: failures, retries, keys, and indexes of others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import grpc
import numpy as np
import pytest
from pydantic import SecretStr
from qdrant_client import QdrantClient, models

from engine.collection import CollectionCard, CollectionFolder
from engine.errors import CollectionMissing, IncompatibleIndex, InvalidInput, StoreUnavailable
from engine.settings import Settings
from engine.store import CaptionStore, caption_id, free_indexes, open_caption_store
from engine.store.caption_store import caption_spec
from engine.store.server import ServerIndex
from engine.store.server_calls import ServerCalls, connect
from engine.types import CaptionPoint

pytestmark = pytest.mark.filterwarnings(
    "ignore:Payload indexes have no effect in the local Qdrant:UserWarning"
)


class Service(Protocol):
    calls: list[str]
    keys: list[str]
    failures: list[grpc.StatusCode]
    port: int

    def settings(self, **others: Any) -> Settings: ...
    def stop(self) -> None: ...


def open_captions(settings: Settings, card: CollectionCard) -> CaptionStore:
    spec = caption_spec(card)
    call = ServerCalls(connect(settings), spec.collection, patience_s=2.0)
    return CaptionStore(ServerIndex(call, spec, 1, settings, create=True))


def open_index(settings: Settings, card: CollectionCard, patience_s: float = 2.0) -> ServerIndex:
    call = ServerCalls(connect(settings), card.name, patience_s)
    return ServerIndex(call, caption_spec(card), 1, settings)


def point(text: str, dim: int) -> CaptionPoint:
    row = np.ones(dim, np.float32)
    return CaptionPoint(caption_id("", text, "human"), text, row, row)


def test_a_url_in_the_settings_leads_to_the_server(
    service: Service, card: CollectionCard, tmp_path: Any
) -> None:
    folder = CollectionFolder(tmp_path, card.name)
    with open_caption_store(folder, card, service.settings(), create=True) as store:
        store.upsert([point("a dog", card.dim)])
        assert store.count() == 1
    assert list(folder.index.glob("*/*/")) == []
    assert "Upsert" in service.calls
    with open_caption_store(folder, card, service.settings()) as store:
        assert store.count() == 1


def test_a_deleted_collection_leaves_nothing_on_the_server(
    service: Service, card: CollectionCard, tmp_path: Any
) -> None:
    folder, kept = CollectionFolder(tmp_path, card.name), replace(card, name=f"{card.name}-kept")
    for one in (card, kept):
        open_captions(service.settings(), one).close()
    free_indexes(folder, service.settings())
    free_indexes(folder, service.settings())
    with pytest.raises(CollectionMissing):
        open_index(service.settings(), card)
    open_index(service.settings(), kept).close()


def test_an_outage_that_passes_is_not_noticed(service: Service, card: CollectionCard) -> None:
    with open_captions(service.settings(), card) as store:
        service.failures[:] = [grpc.StatusCode.UNAVAILABLE] * 2
        store.upsert([point("a dog", card.dim)])
        assert service.calls.count("Upsert") == 3
        assert store.count() == 1


def test_too_many_requests_are_tried_again(service: Service, card: CollectionCard) -> None:
    with open_captions(service.settings(), card) as store:
        service.failures[:] = [grpc.StatusCode.RESOURCE_EXHAUSTED]
        assert store.count() == 0


@pytest.mark.parametrize(
    "status", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED]
)
def test_a_refused_key_is_said_at_once(
    service: Service, card: CollectionCard, status: grpc.StatusCode
) -> None:
    service.failures[:] = [status] * 9
    with pytest.raises(StoreUnavailable, match="MRAG_QDRANT_API_KEY"):
        open_captions(service.settings(), card)
    assert service.calls == ["CollectionExists"]


def test_the_key_goes_with_every_call(service: Service, card: CollectionCard) -> None:
    settings = service.settings(qdrant_api_key=SecretStr("secret"))
    with open_captions(settings, card) as store:
        store.count()
    assert service.keys == ["secret"] * len(service.calls)


def test_a_collection_that_goes_away_is_missing(service: Service, card: CollectionCard) -> None:
    with open_captions(service.settings(), card) as store:
        service.failures[:] = [grpc.StatusCode.NOT_FOUND]
        with pytest.raises(CollectionMissing, match="mrag push"):
            store.count()


def test_a_call_that_fails_otherwise_says_how(service: Service, card: CollectionCard) -> None:
    with open_captions(service.settings(), card) as store:
        service.failures[:] = [grpc.StatusCode.INTERNAL] * 9
        before = len(service.calls)
        with pytest.raises(StoreUnavailable, match="as the test wants it"):
            store.count()
        assert len(service.calls) == before + 1


def test_a_server_that_is_down_is_named_with_the_remedy(
    service: Service, card: CollectionCard
) -> None:
    service.stop()
    with pytest.raises(StoreUnavailable, match="does not answer") as caught:
        open_index(service.settings(), card, patience_s=0.3)
    assert "http://127.0.0.1" in str(caught.value)
    assert "MRAG_QDRANT_URL" in str(caught.value)


def test_a_creation_that_another_process_wins_is_joined(
    service: Service, card: CollectionCard
) -> None:
    open_captions(service.settings(), card).close()
    index = open_index(service.settings(), card)
    index._make()  # the moment between "is there one?" and "make it"
    assert index.count() == 0
    index.close()


def test_a_collection_of_another_program_is_refused(card: CollectionCard) -> None:
    client = QdrantClient(":memory:")
    client.create_collection(
        f"mrag-{card.name}-captions-000001",
        vectors_config=models.VectorParams(size=card.dim, distance=models.Distance.COSINE),
    )
    with pytest.raises(IncompatibleIndex, match="mrag did not make it"):
        ServerIndex(
            ServerCalls([client], card.name), caption_spec(card), 1, Settings(), create=True
        )


@pytest.mark.parametrize("url", ["ftp://example.org", "http://host:port"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="MRAG_QDRANT_URL"):
        connect(Settings(qdrant_url=url))


def test_an_https_url_means_tls() -> None:
    [client] = connect(Settings(qdrant_url="https://qdrant.example.org"))
    assert client.init_options["url"] == "https://qdrant.example.org"
    assert client.init_options["prefer_grpc"] is True
    client.close()
