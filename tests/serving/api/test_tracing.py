"""Spans, as a real OTLP collector on loopback gets them."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pipelines.settings import Settings
from serving.api.house import House
from tests.serving.api.conftest import running

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """Takes spans as the protocol says: protobuf over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    collector.services |= {
                        a.value.string_value for a in resource.resource.attributes if a.key == "service.name"
                    }
                    for scope in resource.scope_spans:
                        collector.spans.extend(scope.spans)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


def test_a_trace_goes_on_here_and_tells_no_secret(settings: Settings, house: House, collector: Collector) -> None:
    house.settings = settings = replace(settings, otlp_endpoint=collector.url)
    with running(settings, house) as server, server.client("editor") as client:
        key = client.headers["Authorization"].removeprefix("Bearer ")
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "request-0001"}
        assert client.get("/v1/jobs/night?secret=hunter2", headers=headers).status_code == 404
        assert httpx.get(f"{server.url}/health/live").status_code == 200
    spans = {span.name: span for span in collector.spans}
    assert collector.services == {"orimono"}
    assert set(spans) == {"GET /v1/jobs/{name}", "GET /health/live"}
    span = spans["GET /v1/jobs/{name}"]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    told = {a.key: a.value.string_value or a.value.int_value for a in span.attributes}
    assert told["http.route"] == "/v1/jobs/{name}"
    assert told["http.response.status_code"] == 404
    assert told["orimono.request_id"] == "request-0001"
    assert told["orimono.job"] == "night"
    assert spans["GET /health/live"].trace_id.hex() != TRACE
    everything = str(collector.spans)
    assert key not in everything
    assert "hunter2" not in everything


def test_a_collector_that_is_away_costs_nobody_anything(settings: Settings, house: House) -> None:
    house.settings = settings = replace(settings, otlp_endpoint="http://127.0.0.1:1")
    with running(settings, house) as server:
        for bad in ("garbage", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"):
            assert httpx.get(f"{server.url}/health/live", headers={"traceparent": bad}).status_code == 200
