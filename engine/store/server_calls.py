"""Calls to a Qdrant server: which failures are worth another try, and what each one means."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import grpc
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from engine.errors import CollectionMissing, MragError, StoreUnavailable

Answer = TypeVar("Answer")

_FAILURES = (
    grpc.RpcError,
    ResourceExhaustedResponse,
    ResponseHandlingException,
    UnexpectedResponse,
)
_REFUSED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, 401, 403}
_ABSENT = {grpc.StatusCode.NOT_FOUND, 404}
_SILENT = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, None}


class ServerCalls:
    """Makes calls that all can be repeated without harm, and turns failures into our errors."""

    def __init__(self, server: str, collection: str, patience_s: float) -> None:
        self._server = server
        self._collection = collection
        self._retrying = Retrying(
            retry=retry_if_exception(_is_passing),
            stop=stop_after_delay(patience_s),
            wait=wait_random_exponential(multiplier=0.1, max=1.0),
            reraise=True,
        )

    def __call__(self, function: Callable[[], Answer]) -> Answer:
        """Call `function`; while the server cannot be reached, again for a few seconds.

        Raises CollectionMissing, or StoreUnavailable when the server is down or refuses.
        """
        try:
            return self._retrying.copy()(function)
        except _FAILURES as error:
            raise self._meaning(error) from error
        except ValueError as error:  # of qdrant-client's local mode
            if "not found" in str(error):
                raise self._missing() from error
            raise

    def _meaning(self, error: Exception) -> MragError:
        status, details = _status(error), _details(error)
        if status in _ABSENT:
            return self._missing()
        if status in _REFUSED:
            return StoreUnavailable(
                f"the Qdrant server at {self._server} refuses access: {details}; set "
                "MRAG_QDRANT_API_KEY to a key that may read and write"
            )
        if status in _SILENT:
            return StoreUnavailable(
                f"the Qdrant server at {self._server} does not answer: {details}; check that it "
                "runs and that MRAG_QDRANT_URL and MRAG_QDRANT_GRPC_PORT are right, or unset "
                "MRAG_QDRANT_URL to use the embedded store"
            )
        return StoreUnavailable(
            f"the Qdrant server at {self._server} could not do it: {details}; see its log"
        )

    def _missing(self) -> CollectionMissing:
        return CollectionMissing(
            f"the Qdrant server at {self._server} has no index of collection "
            f"{self._collection!r}; write it with: mrag push {self._collection}"
        )


def _is_passing(error: BaseException) -> bool:
    """Whether a failure may pass by itself: no connection, or too many requests."""
    if isinstance(error, ResourceExhaustedResponse | ResponseHandlingException):
        return True
    return _status(error) in {grpc.StatusCode.UNAVAILABLE, 429, 502, 503, 504}


def _status(error: BaseException) -> grpc.StatusCode | int | None:
    """The gRPC or HTTP status of a failure, None if there was no answer."""
    if isinstance(error, grpc.Call):
        return error.code()
    return getattr(error, "status_code", None)


def _details(error: Exception) -> str:
    return error.details() or "" if isinstance(error, grpc.Call) else str(error)
