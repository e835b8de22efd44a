"""What Prometheus reads at /metrics: requests by route and status, latencies, what is under way, what is away.

Read off what traffic.py counts anyway: a request costs nothing for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from serving.api.gate import Gate
from serving.api.house import House
from serving.api.streams import Streams
from serving.api.traffic import EDGES_MS, Traffic
from serving.api.watching import Watching

BUCKETS = range(8, len(EDGES_MS), 4)  # 0.1 ms to 10 s, two a decade


class Figures:
    """A part of the house."""

    def __init__(self, house: House) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Counted(house))
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)

    def text(self) -> bytes:
        return generate_latest(self._registry)


class _Counted(Collector):
    def __init__(self, house: House) -> None:
        self._house = house

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering counts nothing."""
        return ()

    def collect(self) -> Iterator[Metric]:
        traffic, held = self._house.one(Traffic), self._house.one(Gate).bench.sitting
        requests = CounterMetricFamily(
            "orimono_http_requests", "Answered requests.", labels=("method", "route", "status")
        )
        seconds = HistogramMetricFamily(
            "orimono_http_request_seconds", "From a request's head to its answer's end.", labels=("method", "route")
        )
        for name, route in sorted(traffic.routes.items()):
            method, _, path = name.partition(" ")
            for status, n in sorted(route.statuses.items()):
                requests.add_metric((method, path, str(status)), n)
            sums = list(accumulate(route.latency_counts))
            buckets = [(f"{EDGES_MS[i] / 1e3:.6g}", float(sums[i])) for i in BUCKETS]
            seconds.add_metric((method, path), [*buckets, ("+Inf", float(sums[-1]))], route.latency_ms / 1e3)
        yield requests
        yield seconds
        for name, told, value in (
            ("orimono_http_requests_under_way", "Requests that are being answered.", traffic.under_way),
            ("orimono_event_streams", "Answers of server-sent events that are open.", len(self._house.one(Streams))),
            ("orimono_websockets", "WebSockets that are open.", traffic.sockets),
            (
                "orimono_requests_held_back",
                "Requests of callers who asked too much.",
                held,
            ),
            ("orimono_draining", "1 while this server is stopping.", int(self._house.draining)),
        ):
            yield GaugeMetricFamily(name, told, value)
        healthy = GaugeMetricFamily("orimono_component_healthy", "1 when all is well with it.", labels=("component",))
        for component, reason in self._house.one(Watching).reasons().items():
            healthy.add_metric((component,), int(reason is None))
        yield healthy
