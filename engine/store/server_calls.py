"""Calls to a Qdrant server or cluster: where to, which failures are worth another try and what
each one means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

import grpc
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    stop_all,
    wait_random_exponential,
)

from engine.errors import CollectionMissing, InvalidInput, MragError, StoreUnavailable
from engine.settings import Settings
from engine.store.addresses import addresses

Answer = TypeVar("Answer")

PATIENCE_S = 3.0
"""How long a server that cannot be reached is tried again."""

_TIMEOUT_S = 60

FAILURES = (
    grpc.RpcError,
    ResourceExhaustedResponse,
    ResponseHandlingException,
    UnexpectedResponse,
)
_REFUSED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, 401, 403}
_ABSENT = {grpc.StatusCode.NOT_FOUND, 404}
_GONE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,  # by a server that ends: nobody here cancels
}
_GONE_TOLD = ("Failed to connect", "RST_STREAM")
"""What is told of another node that held what was asked for, and of a stream that was cut."""


def connect(settings: Settings) -> list[QdrantClient]:
    """A client of each address that the settings name; an https URL means TLS.

    Makes no call yet. Raises InvalidInput for a URL that is none.
    """
    urls, ports = addresses(settings.qdrant_url), settings.qdrant_grpc_port
    if len(ports) == 1:
        ports *= len(urls)
    if len(ports) != len(urls):
        raise InvalidInput(
            f"MRAG_QDRANT_GRPC_PORT has {len(ports)} ports and MRAG_QDRANT_URL {len(urls)} "
            "addresses; give one port for all, or one for each address"
        )
    return [_client(url, port, settings) for url, port in zip(urls, ports, strict=True)]


def _client(url: str, grpc_port: int, settings: Settings) -> QdrantClient:
    key = settings.qdrant_api_key.get_secret_value()
    try:
        return QdrantClient(
            url=url,
            grpc_port=grpc_port,
            prefer_grpc=True,
            # As `api_key` it would make a warning of every start over http: the doctor says it.
            headers={"api-key": key} if key else None,
            timeout=_TIMEOUT_S,
            check_compatibility=False,  # it would ask over REST, in a thread that only warns
        )
    except ValueError as error:
        raise InvalidInput(
            f"MRAG_QDRANT_URL is {settings.qdrant_url!r}: {error}; give it like "
            "http://localhost:6333 or https://qdrant.example.org, several separated by commas"
        ) from error


@contextmanager
def calling(settings: Settings, collection: str = "") -> Iterator[ServerCalls]:
    """Calls to the server that the settings name, for as long as the context lasts."""
    call = ServerCalls(connect(settings), collection)
    try:
        yield call
    finally:
        call.close()


class ServerCalls:
    """Makes calls that all can be repeated without harm, and turns failures into our errors.

    Takes over the clients, one for each node of a cluster. A node answers until a call to it
    fails in a way that may pass; that call and those that follow then go to the next one.
    """

    def __init__(
        self, clients: Sequence[QdrantClient], collection: str, patience_s: float = PATIENCE_S
    ) -> None:
        self._clients = clients
        self._answers = 0
        self._collection = collection
        self._retrying = Retrying(
            retry=retry_if_exception(_is_passing),
            # A node that does not even refuse may take all the patience: each is tried once.
            stop=stop_all(stop_after_delay(patience_s), stop_after_attempt(len(clients))),
            wait=wait_random_exponential(multiplier=0.1, max=1.0),
            reraise=True,
        )

    @property
    def server(self) -> str:
        """What the server is called in messages: its addresses."""
        return ", ".join(
            str(one.init_options.get("url") or one.init_options.get("location"))
            for one in self._clients
        )

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            client.close()

    def nodes(self) -> int:
        """How many nodes the cluster has: 1 where none tells, as without REST."""
        for client in self._clients:
            with suppress(*FAILURES, NotImplementedError):  # the latter by the local mode
                return len(getattr(client.cluster_status(), "peers", None) or [None])
        return 1

    def __call__(self, function: Callable[[QdrantClient], Answer]) -> Answer:
        """Call `function` with a client; while no node can be reached, again for a few seconds.

        Raises CollectionMissing, or StoreUnavailable when the server is down or refuses.
        """
        try:
            return self._retrying.copy()(partial(self._try, function))
        except FAILURES as error:
            raise self._meaning(error) from error
        except ValueError as error:  # of qdrant-client's local mode
            if "not found" in str(error):
                raise self._missing() from error
            raise

    def _try(self, function: Callable[[QdrantClient], Answer]) -> Answer:
        asked = self._answers
        try:
            return function(self._clients[asked])
        except FAILURES as error:
            if _is_passing(error):
                self._answers = (asked + 1) % len(self._clients)
            raise

    def _meaning(self, error: Exception) -> MragError:
        status, details = _status(error), _details(error)
        if status in _ABSENT:
            return self._missing()
        if status in _REFUSED:
            return StoreUnavailable(
                f"the Qdrant server at {self.server} refuses access: {details}; set "
                "MRAG_QDRANT_API_KEY to a key that may read and write"
            )
        if status is None or status in _GONE:
            return StoreUnavailable(
                f"the Qdrant server at {self.server} does not answer: {details}; "
                "check that it runs and that MRAG_QDRANT_URL and MRAG_QDRANT_GRPC_PORT are right, "
                "or unset MRAG_QDRANT_URL to use the embedded store"
            )
        return StoreUnavailable(
            f"the Qdrant server at {self.server} could not do it: {details}; see its log"
        )

    def _missing(self) -> CollectionMissing:
        return CollectionMissing(
            f"the Qdrant server at {self.server} has no index of collection "
            f"{self._collection!r}; write it with: mrag push {self._collection}"
        )


def _is_passing(error: BaseException) -> bool:
    """Whether a failure may pass by itself or on another node: no connection, too much to do."""
    if isinstance(error, ResourceExhaustedResponse | ResponseHandlingException):
        return True
    if not isinstance(error, FAILURES):
        return False
    if _status(error) in {*_GONE, 429, 502, 503, 504}:
        return True
    return any(told in _details(error) for told in _GONE_TOLD)


def _status(error: BaseException) -> grpc.StatusCode | int | None:
    """The gRPC or HTTP status of a failure, None if there was no answer."""
    if isinstance(error, grpc.Call):
        return error.code()
    return getattr(error, "status_code", None)


def _details(error: Exception) -> str:
    return error.details() or "" if isinstance(error, grpc.Call) else str(error)
