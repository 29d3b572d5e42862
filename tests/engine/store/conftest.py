"""The backends that the contract suite runs over, and a Qdrant server to talk to.

`QdrantService` speaks Qdrant's real gRPC protocol on 127.0.0.1 and keeps its points in
qdrant-client's local mode, so the server adapter is tested over the wire without a server.
"""

# ruff: noqa: N802  (the methods of a gRPC service have the names of its calls)

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Protocol
from uuid import uuid4

import grpc
import pytest
from pydantic import SecretStr
from qdrant_client import QdrantClient
from qdrant_client import grpc as wire
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

from engine.collection import CollectionCard
from engine.settings import Settings
from engine.store.caption_store import CaptionStore, caption_spec
from engine.store.embedded import EdgeIndex
from engine.store.image_store import ImageStore, image_spec
from engine.store.interface import IndexSpec, VectorIndex
from engine.store.server import ServerIndex
from engine.store.server_calls import ServerCalls, connect
from engine.store.server_collections import drop_collections

DIM = 16


class Backend(Protocol):
    """Opens indexes that keep their points between two openings."""

    def open(self, spec: IndexSpec, *, create: bool = True) -> VectorIndex: ...


class EmbeddedBackend:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, spec: IndexSpec, *, create: bool = True) -> VectorIndex:
        path = self.folder / spec.collection / spec.name
        return EdgeIndex.open_or_make(path, spec) if create else EdgeIndex(path, spec)


class KeptClient(QdrantClient):
    """A local client whose points outlive the index that was opened with it."""

    def close(self, grpc_grace: float | None = None, **_kwargs: Any) -> None:
        pass


class ClientBackend:
    def __init__(
        self, make_clients: Callable[[], list[QdrantClient]], settings: Settings | None = None
    ) -> None:
        self.make_clients = make_clients
        self.settings = settings or Settings()

    def open(self, spec: IndexSpec, *, create: bool = True) -> VectorIndex:
        call = ServerCalls(self.make_clients(), spec.collection, patience_s=1.0)
        return ServerIndex(call, spec, 1, self.settings, create=create)


class CollectionCalls(wire.CollectionsServicer):
    """The calls about collections that mrag makes of a server."""

    def __init__(self, local: QdrantClient, made: list[Any]) -> None:
        self.local = local
        self.made = made

    def CollectionExists(self, request: Any, _context: Any) -> Any:
        exists = self.local.collection_exists(request.collection_name)
        return wire.CollectionExistsResponse(result=wire.CollectionExists(exists=exists))

    def Create(self, request: Any, context: Any) -> Any:
        self.made.append(request)
        if self.local.collection_exists(request.collection_name):
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "Wrong input: it already exists!")
        self.local.create_collection(
            request.collection_name,
            vectors_config=GrpcToRest.convert_vectors_config(request.vectors_config),
            sparse_vectors_config=GrpcToRest.convert_sparse_vector_config(
                request.sparse_vectors_config
            ),
            metadata=GrpcToRest.convert_payload(request.metadata),
        )
        return wire.CollectionOperationResponse(result=True)

    def Update(self, request: Any, _context: Any) -> Any:
        self.made.append(request)
        return wire.CollectionOperationResponse(result=True)

    def Delete(self, request: Any, _context: Any) -> Any:
        deleted = self.local.delete_collection(request.collection_name)
        return wire.CollectionOperationResponse(result=deleted)

    def List(self, _request: Any, _context: Any) -> Any:
        names = [one.name for one in self.local.get_collections().collections]
        described = [wire.CollectionDescription(name=name) for name in names]
        return wire.ListCollectionsResponse(collections=described)

    def UpdateAliases(self, request: Any, _context: Any) -> Any:
        actions = [GrpcToRest.convert_alias_operations(action) for action in request.actions]
        return wire.CollectionOperationResponse(
            result=self.local.update_collection_aliases(actions)
        )

    def UpdateBatch(self, request: Any, context: Any) -> Any:
        _check(self.local, request, context)
        told = map(GrpcToRest.convert_points_update_operation, request.operations)
        self.local.batch_update_points(request.collection_name, list(told))
        done = wire.UpdateResult(operation_id=0, status=wire.UpdateStatus.Completed)
        return wire.UpdateBatchResponse(result=[done for _ in request.operations])

    def Get(self, request: Any, context: Any) -> Any:
        _check(self.local, request, context)
        info = self.local.get_collection(request.collection_name)
        return wire.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(info))


class PointCalls(wire.PointsServicer):
    """The calls about points that mrag makes of a server."""

    def __init__(self, local: QdrantClient) -> None:
        self.local = local

    def CreateFieldIndex(self, _request: Any, _context: Any) -> Any:
        return _updated()

    def Upsert(self, request: Any, context: Any) -> Any:
        _check(self.local, request, context)
        points = [GrpcToRest.convert_point_struct(point) for point in request.points]
        self.local.upsert(request.collection_name, points)
        return _updated()

    def Delete(self, request: Any, context: Any) -> Any:
        _check(self.local, request, context)
        chosen = GrpcToRest.convert_points_selector(request.points)
        self.local.delete(request.collection_name, chosen)
        return _updated()

    def UpdateBatch(self, request: Any, context: Any) -> Any:
        _check(self.local, request, context)
        told = map(GrpcToRest.convert_points_update_operation, request.operations)
        self.local.batch_update_points(request.collection_name, list(told))
        done = wire.UpdateResult(operation_id=0, status=wire.UpdateStatus.Completed)
        return wire.UpdateBatchResponse(result=[done for _ in request.operations])

    def Get(self, request: Any, context: Any) -> Any:
        _check(self.local, request, context)
        ids = [GrpcToRest.convert_point_id(identifier) for identifier in request.ids]
        vectors = GrpcToRest.convert_with_vectors_selector(request.with_vectors)
        records = self.local.retrieve(request.collection_name, ids, with_vectors=vectors)
        return wire.GetResponse(result=[RestToGrpc.convert_record(r) for r in records])

    def Count(self, request: Any, context: Any) -> Any:
        _check(self.local, request, context)
        wanted = GrpcToRest.convert_filter(request.filter)
        counted = self.local.count(request.collection_name, wanted, exact=True)
        return wire.CountResponse(result=RestToGrpc.convert_count_result(counted))

    def Scroll(self, request: Any, context: Any) -> Any:
        _check(self.local, request, context)
        start = GrpcToRest.convert_point_id(request.offset) if request.HasField("offset") else None
        ordered = request.HasField("order_by")
        order = GrpcToRest.convert_order_by(request.order_by) if ordered else None
        wanted = GrpcToRest.convert_filter(request.filter)
        records, following = self.local.scroll(
            request.collection_name, wanted, limit=request.limit, offset=start, order_by=order
        )
        return wire.ScrollResponse(
            result=[RestToGrpc.convert_record(record) for record in records],
            next_page_offset=following and RestToGrpc.convert_extended_point_id(following),
        )

    def Facet(self, request: Any, context: Any) -> Any:
        _check(self.local, request, context)
        wanted = GrpcToRest.convert_filter(request.filter)
        counted = self.local.facet(
            request.collection_name, request.key, wanted, limit=request.limit
        )
        hits = [RestToGrpc.convert_facet_value_hit(hit) for hit in counted.hits]
        return wire.FacetResponse(hits=hits)

    def Query(self, request: Any, context: Any) -> Any:
        _check(self.local, request, context)
        return wire.QueryResponse(result=self._found([request])[0])

    def QueryBatch(self, request: Any, context: Any) -> Any:
        _check(self.local, request, context)
        found = self._found(list(request.query_points))
        return wire.QueryBatchResponse(result=[wire.BatchResult(result=hits) for hits in found])

    def _found(self, requests: list[Any]) -> list[list[Any]]:
        wanted = [GrpcToRest.convert_query_points(request) for request in requests]
        for one in wanted:
            one.params = None  # local mode searches exactly, and warns where it is asked to
        answers = self.local.query_batch_points(requests[0].collection_name, wanted)
        for request, answer in zip(requests, answers, strict=True):
            if request.offset and request.query.HasField("nearest_with_mmr"):
                answer.points = []  # as Qdrant 1.19 does
        return [[RestToGrpc.convert_scored_point(p) for p in a.points] for a in answers]


def _check(local: QdrantClient, request: Any, context: Any) -> None:
    if not local.collection_exists(request.collection_name):
        context.abort(grpc.StatusCode.NOT_FOUND, "the collection doesn't exist!")


def _updated() -> Any:
    result = wire.UpdateResult(operation_id=0, status=wire.UpdateStatus.Completed)
    return wire.PointsOperationResponse(result=result)


class ClusterStatus(BaseHTTPRequestHandler):
    """The one thing that is asked over REST: which nodes there are."""

    server: StatusServer

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        peers = {str(i): {"uri": f"http://node{i}"} for i in range(self.server.nodes)}
        raft = {"term": 1, "commit": 1, "pending_operations": 0, "is_voter": True}
        enabled = {
            "status": "enabled",
            "peer_id": 0,
            "peers": peers,
            "raft_info": raft,
            "consensus_thread_status": {
                "consensus_thread_status": "working",
                "last_update": "2026-01-01T00:00:00Z",
            },
            "message_send_failures": {},
        }
        result = enabled if self.server.nodes > 1 else {"status": "disabled"}
        body = json.dumps({"time": 0.1, "status": "ok", "result": result}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_told: Any) -> None:
        pass


class StatusServer(ThreadingHTTPServer):
    nodes = 1
    paths: list[str]


class QdrantService:
    """A server on 127.0.0.1 that can be told to fail; one of a cluster if it shares its points."""

    def __init__(self, local: QdrantClient | None = None) -> None:
        self.calls: list[str] = []
        """The names of the calls so far."""
        self.keys: list[str] = []
        """The API keys that came with them."""
        self.failures: list[grpc.StatusCode] = []
        """Statuses with which the next calls fail."""
        self.told = "as the test wants it"
        """What they say."""
        self.made: list[Any] = []
        """What collections were to be made or changed like."""
        self.dies_at = ""
        """The call at which it ends, once: before it is done, with a `+` behind it after that."""
        self.dead = False
        self.local = local or QdrantClient(":memory:")
        self._server = grpc.server(ThreadPoolExecutor(4), interceptors=[FailingCalls(self)])
        register: Any = wire  # generated code without types
        collections = CollectionCalls(self.local, self.made)
        register.add_CollectionsServicer_to_server(collections, self._server)
        register.add_PointsServicer_to_server(PointCalls(self.local), self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.rest = StatusServer(("127.0.0.1", 0), ClusterStatus)
        self.rest.paths = []
        self._thread = Thread(target=self.rest.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.rest.server_port}"

    def settings(self, **others: Any) -> Settings:
        return Settings(qdrant_url=self.address, qdrant_grpc_port=self.port, **others)

    def stop(self) -> None:
        self._server.stop(grace=None).wait(timeout=5)
        if self._thread.is_alive():
            self.rest.shutdown()
            self._thread.join()
            self.rest.server_close()


class FailingCalls(grpc.ServerInterceptor):  # type: ignore[misc]  # grpcio ships no types
    """Notes each call, and lets it fail while the service has failures left."""

    def __init__(self, service: QdrantService) -> None:
        self.service = service

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        name = details.method.rsplit("/", 1)[-1]
        self.service.calls.append(name)
        self.service.keys += [m.value for m in details.invocation_metadata if m.key == "api-key"]
        if self.service.dead or name == self.service.dies_at.removesuffix("+"):
            return self._ended(None if self.service.dead else continuation(details))
        if not self.service.failures:
            return continuation(details)
        status = self.service.failures.pop(0)

        def fail(_request: Any, context: Any) -> None:
            if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
                context.set_trailing_metadata([("retry-after", "1")])
            context.abort(status, self.service.told)

        return grpc.unary_unary_rpc_method_handler(fail)

    def _ended(self, handler: Any) -> Any:
        """What a client sees of a node that is killed: no answer, whether it did it or not."""
        does = handler is not None and self.service.dies_at.endswith("+")
        self.service.dead = True

        def drop(request: Any, context: Any) -> None:
            if does:
                handler.unary_unary(handler.request_deserializer(request), context)
            context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")

        return grpc.unary_unary_rpc_method_handler(drop)


@pytest.fixture
def service() -> Iterator[QdrantService]:
    running = QdrantService()
    yield running
    running.stop()


@pytest.fixture
def collection() -> str:
    """The name of a collection that does not exist yet."""
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def shared_collection() -> str:
    """The name of a collection that tests share, because making one syncs many files."""
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("embedded")


@pytest.fixture(params=["embedded", "local", "grpc", "server"])
def backend(
    request: pytest.FixtureRequest, shared_folder: Path, collection: str, shared_collection: str
) -> Iterator[Backend]:
    """Every backend in turn; a real server only where MRAG_TEST_QDRANT_URL names one.

    MRAG_TEST_QDRANT_API_KEY is its key, MRAG_TEST_QDRANT_GRPC_PORT its port if it has another;
    of a cluster several addresses can be given, as in the settings.
    """
    if request.param == "embedded":
        yield EmbeddedBackend(shared_folder)
    elif request.param == "local":
        client = KeptClient(":memory:")
        yield ClientBackend(lambda: [client])
    elif request.param == "grpc":
        service: QdrantService = request.getfixturevalue("service")
        yield ClientBackend(lambda: connect(service.settings()))
    else:
        yield from _real_server([collection, shared_collection])


def _real_server(collections: list[str]) -> Iterator[Backend]:
    url = os.environ.get("MRAG_TEST_QDRANT_URL", "")
    if not url:
        pytest.skip("MRAG_TEST_QDRANT_URL names no Qdrant server")
    settings = Settings(
        qdrant_url=url,
        qdrant_api_key=SecretStr(os.environ.get("MRAG_TEST_QDRANT_API_KEY", "")),
        qdrant_grpc_port=os.environ.get("MRAG_TEST_QDRANT_GRPC_PORT", "6334"),
    )
    yield ClientBackend(lambda: connect(settings), settings)
    for name in collections:
        drop_collections(settings, name)


@pytest.fixture
def card(collection: str) -> CollectionCard:
    return CollectionCard(
        name=collection, encoder="x/y", encoder_id="encoder-a", dim=DIM, generator="consensus"
    )


@pytest.fixture
def captions(
    backend: Backend, card: CollectionCard, shared_collection: str
) -> Iterator[CaptionStore]:
    """An empty store."""
    spec = caption_spec(replace(card, name=shared_collection))
    with CaptionStore(backend.open(spec)) as store:
        store.delete(list(store.ids()))
        yield store


@pytest.fixture
def images(backend: Backend, card: CollectionCard, shared_collection: str) -> Iterator[ImageStore]:
    """An empty store."""
    spec = image_spec(replace(card, name=shared_collection))
    with ImageStore(backend.open(spec)) as store:
        store.delete(list(store.ids()))
        yield store
