"""What Prometheus reads: how long requests and their stages take, and how full the queues are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import perf_counter

from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.work import Work
from engine.app import Engine
from engine.models.queues import QueueFigures

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The figures of one API, in a registry of its own."""

    def __init__(self, engine: Engine, work: Work) -> None:
        self._registry = CollectorRegistry()
        self.requests = Histogram(
            "mrag_request_seconds",
            "Time of requests, by route and status.",
            ("method", "route", "status"),
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._stages = Histogram(
            "mrag_stage_seconds",
            "Time of the stages of answers.",
            ("route", "stage"),
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._failures = Counter(
            "mrag_failed_pictures",
            "Pictures of requests that nothing came of.",
            ("route",),
            registry=self._registry,
        )
        self._registry.register(_Queues(engine, work))

    def stages(self, route: str, timings_ms: Mapping[str, float]) -> None:
        """Note the times of an answer."""
        for stage, spent in timings_ms.items():
            self._stages.labels(route, stage).observe(spent / 1000)

    def failed(self, route: str) -> None:
        """Note a picture that nothing came of."""
        self._failures.labels(route).inc()

    def text(self) -> bytes:
        """All of it, in Prometheus' own format."""
        return generate_latest(self._registry)


class RouteTimes:
    """Times each request by the route that answers it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note its time."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = "500", perf_counter()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            spent = perf_counter() - began
            found = scope.get("route")
            route = found.path if isinstance(found, APIRoute) else "none"
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, route, status).observe(spent)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""What is told apart: whoever makes up methods shall not fill the memory."""


class _Queues(Collector):
    """The queues of the models and of the API's threads, as they are when they are asked for."""

    def __init__(self, engine: Engine, work: Work) -> None:
        self._engine, self._work = engine, work

    def collect(self) -> Iterable[Metric]:
        """The figures, summed over the models of a kind."""
        waiting = GaugeMetricFamily(
            "mrag_queue_waiting", "Calls that wait for a model.", labels=("model",)
        )
        refused = CounterMetricFamily(
            "mrag_queue_refused", "Calls that were refused as busy.", labels=("model",)
        )
        dropped = CounterMetricFamily(
            "mrag_queue_dropped", "Calls of clients that have gone.", labels=("model",)
        )
        batches = HistogramMetricFamily(
            "mrag_batch_items", "Pictures, texts or prompts run together.", labels=("model",)
        )
        for model, queues in self._engine.models.queues().items():
            waiting.add_metric((model,), sum(queue.waiting for queue in queues))
            refused.add_metric((model,), sum(queue.refused for queue in queues))
            dropped.add_metric((model,), sum(queue.dropped for queue in queues))
            batches.add_metric((model,), *_histogram(queues))
        yield from (waiting, refused, dropped, batches)
        yield GaugeMetricFamily(
            "mrag_requests_running", "Requests that are worked on.", self._work.running
        )
        yield CounterMetricFamily(
            "mrag_requests_busy", "Requests that were refused as busy.", self._work.refused
        )
        yield CounterMetricFamily(
            "mrag_requests_dropped",
            "Requests given up: the client had gone, or they took too long.",
            self._work.dropped,
        )


def _histogram(queues: list[QueueFigures]) -> tuple[list[tuple[str, float]], float]:
    """Cumulative counts by bucket, and the sum, of the sizes of batches."""
    sizes = [(size, count) for queue in queues for size, count in queue.batches.items()]
    buckets = [
        (str(float(bound)), float(sum(count for size, count in sizes if size <= bound)))
        for bound in _SIZES
    ]
    buckets.append(("+Inf", float(sum(count for _, count in sizes))))
    return buckets, float(sum(size * count for size, count in sizes))
