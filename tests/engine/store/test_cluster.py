"""A cluster of Qdrant servers: how indexes are spread over it, and nodes that go in mid-use."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from pydantic import SecretStr
from qdrant_client import QdrantClient

from engine.collection import CollectionCard, CollectionFolder
from engine.errors import InvalidInput, StoreUnavailable
from engine.settings import Settings, read_settings
from engine.store import ImageStore, open_image_store, picture_id, store_status
from engine.store.addresses import addresses, in_the_clear, same_place
from engine.store.generations import GenerationState, answering, begin, change_over
from engine.store.image_store import image_spec
from engine.store.server import ServerIndex
from engine.store.server_calls import ServerCalls, connect
from engine.types import Filters, ImagePoint
from tests.engine.store.conftest import QdrantService

pytestmark = pytest.mark.filterwarnings(
    "ignore:Payload indexes have no effect in the local Qdrant:UserWarning"
)
COUNT = 30


@pytest.fixture
def cluster() -> Iterator[list[QdrantService]]:
    """Two nodes with the same points."""
    local = QdrantClient(":memory:")
    nodes = [QdrantService(local), QdrantService(local)]
    yield nodes
    for node in nodes:
        node.stop()


def of_all(nodes: list[QdrantService], **others: Any) -> Settings:
    return Settings(
        qdrant_url=", ".join(node.address for node in nodes),
        qdrant_grpc_port=tuple(node.port for node in nodes),
        **others,
    )


def opened(settings: Settings, card: CollectionCard, patience_s: float = 2.0) -> ImageStore:
    call = ServerCalls(connect(settings), card.name, patience_s)
    return ImageStore(ServerIndex(call, image_spec(card), 1, settings, create=True))


def album(dim: int) -> list[ImagePoint]:
    rows = np.random.default_rng(0).standard_normal((COUNT, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [
        ImagePoint(
            id=picture_id(f"{i:064x}"),
            image_id=str(i),
            uri=f"{i}.jpg",
            sha256=f"{i:064x}",
            width=1,
            height=1,
            raw=row,
            mapped=row,
            captions=(f"dog number {i}",),
            split="val" if i % 2 else "train",
        )
        for i, row in enumerate(rows)
    ]


def used(settings: Settings, card: CollectionCard) -> list[Any]:
    """What all that a store is for gives, from the first call to the last."""
    points = album(card.dim)
    query, val = points[0].raw, Filters(splits=frozenset({"val"}))
    with opened(settings, card) as store:
        store.upsert(points)
        store.delete([points[-1].id])
        found = [
            store.search(space, 5, raw=query, mapped=query, words="13", filters=val)
            for space in ("raw", "words", "fused")
        ]
        diverse = store.search("raw", 5, raw=query, diversity=0.5)
        # The fake scores a point that was written twice by BM25 and MMR in another way.
        hits = [[(hit.id, hit.captions) for hit in page] for page in found]
        return [hits, len(diverse), list(store.ids()), store.count(val), store.facets()]


@pytest.mark.parametrize("done", ["", "+"], ids=["undone", "done"])
@pytest.mark.parametrize(
    "call",
    [
        *("CollectionExists", "Create", "Get", "CreateFieldIndex", "Upsert", "Delete"),
        *("QueryBatch", "Scroll", "Count", "Facet"),
    ],
)
def test_a_node_that_dies_in_mid_use_is_not_noticed(
    cluster: list[QdrantService], card: CollectionCard, service: QdrantService, call: str, done: str
) -> None:
    """Whether it had done what it was asked, or not."""
    cluster[0].dies_at = call + done
    assert used(of_all(cluster), card) == used(service.settings(), card)
    assert cluster[0].dead
    assert call in cluster[1].calls


def test_a_node_that_was_down_from_the_start_is_not_noticed(
    cluster: list[QdrantService], card: CollectionCard
) -> None:
    cluster[0].stop()
    with opened(of_all(cluster), card) as store:
        assert store.count() == 0
    assert "0 collections" not in store_status(of_all(cluster))


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (grpc.StatusCode.INTERNAL, "1 of 1 read operations failed: Failed to connect to http://b"),
        (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2"),
        (grpc.StatusCode.CANCELLED, "CANCELLED"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"),
    ],
)
def test_a_node_that_ends_or_lacks_a_neighbour_is_left_too(
    cluster: list[QdrantService], card: CollectionCard, status: grpc.StatusCode, told: str
) -> None:
    with opened(of_all(cluster), card) as store:
        cluster[0].told = told
        cluster[0].failures = [status]
        assert store.count() == 0
    assert "Count" in cluster[1].calls


def test_nodes_take_turns_in_going(cluster: list[QdrantService], card: CollectionCard) -> None:
    with opened(of_all(cluster), card) as store:
        store.upsert(album(card.dim))
        cluster[0].dead = True
        assert store.count() == COUNT
        cluster[0].dead, cluster[1].dead = False, True
        assert store.count() == COUNT


def test_where_no_node_answers_all_addresses_are_named(
    cluster: list[QdrantService], card: CollectionCard
) -> None:
    settings = of_all(cluster)
    for node in cluster:
        node.stop()
    with pytest.raises(StoreUnavailable, match="does not answer") as caught:
        opened(settings, card, patience_s=0.2)
    assert all(node.address in str(caught.value) for node in cluster)
    assert "MRAG_QDRANT_URL" in str(caught.value)


@pytest.mark.parametrize(("nodes", "replicas"), [(1, 1), (2, 1), (3, 2), (5, 2)])
def test_shards_are_kept_twice_where_a_node_may_go(
    service: QdrantService, card: CollectionCard, nodes: int, replicas: int
) -> None:
    service.rest.nodes = nodes
    opened(service.settings(), card).close()
    [made] = service.made
    assert made.replication_factor == replicas
    assert not made.HasField("shard_number")
    assert not made.HasField("write_consistency_factor")


def test_a_cluster_is_used_as_the_settings_say(
    service: QdrantService, card: CollectionCard
) -> None:
    settings = service.settings(
        qdrant_shards=6, qdrant_replicas=3, qdrant_write_consistency=2, qdrant_read_fan_out=1
    )
    opened(settings, card).close()
    made, changed = service.made
    assert (made.shard_number, made.replication_factor, made.write_consistency_factor) == (6, 3, 2)
    assert changed.params.read_fan_out_factor == 1
    assert service.rest.paths == []


def test_nodes_come_and_go_and_the_index_stays_where_it_is(
    cluster: list[QdrantService], card: CollectionCard, tmp_path: Any
) -> None:
    one, both = cluster[0].settings(home=tmp_path), of_all(cluster, home=tmp_path)
    folder = CollectionFolder(tmp_path, card.name)
    begin(folder, 1, GenerationState(place=one.qdrant_url))
    change_over(folder, 1)
    open_image_store(folder, card, one, create=True).close()
    open_image_store(folder, card, both).close()
    assert answering(folder, both.qdrant_url)[0].number == 1


def test_places_are_the_same_if_they_share_an_address() -> None:
    assert addresses(" http://a, http://b:6333,") == ["http://a", "http://b:6333"]
    assert same_place("http://a,http://b", "http://c, http://b")
    assert same_place("", "")
    assert not same_place("http://a", "http://b")
    assert not same_place("", "http://b")


def test_ports_are_one_for_all_or_one_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRAG_QDRANT_URL", "http://a,http://b,http://c")
    monkeypatch.setenv("MRAG_QDRANT_GRPC_PORT", "6334, 7334")
    with pytest.raises(InvalidInput, match="2 ports and MRAG_QDRANT_URL 3 addresses"):
        connect(read_settings())
    monkeypatch.setenv("MRAG_QDRANT_GRPC_PORT", "7334")
    assert [client.init_options["grpc_port"] for client in connect(read_settings())] == [7334] * 3
    monkeypatch.setenv("MRAG_QDRANT_GRPC_PORT", "7334,99999")
    with pytest.raises(InvalidInput, match="MRAG_QDRANT_GRPC_PORT = '99999'"):
        read_settings()


@pytest.mark.parametrize(
    ("url", "clear"),
    [
        ("https://qdrant.example.org", False),
        ("http://qdrant.example.org", True),
        ("http://127.0.0.1:6333,http://[::1],http://localhost,http://qdrant:6333", False),
        ("http://10.0.0.7,http://192.168.1.2:6333,http://nas.local", False),
        ("http://10.0.0.7,http://203.0.113.0,http://8.8.8.8", True),
    ],
)
def test_a_key_in_the_clear_is_seen_outside_private_networks(url: str, clear: bool) -> None:
    settings = Settings(qdrant_url=url, qdrant_api_key=SecretStr("secret"))
    assert bool(in_the_clear(settings)) is clear
    assert in_the_clear(Settings(qdrant_url=url)) == []


def test_no_query_fails_when_a_node_is_killed_under_load(
    cluster: list[QdrantService], card: CollectionCard
) -> None:
    points = album(card.dim)
    with opened(of_all(cluster), card) as store, ThreadPoolExecutor(4) as threads:
        store.upsert(points)

        def search(number: int) -> str:
            if number == 20:
                cluster[0].stop()
            [hit] = store.search("raw", 1, raw=points[number % COUNT].raw)
            return hit.image_id

        found = list(threads.map(search, range(80)))
    assert found == [str(number % COUNT) for number in range(80)]
