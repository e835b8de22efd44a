"""OpenTelemetry spans of requests, sent to an OTLP/HTTP collector; only where ORIMONO_OTLP_ENDPOINT names one.

A trace that a caller began (``traceparent``) goes on here. Nothing but route, status and ids is told.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from pipelines.errors import BadInput
from serving.api.house import House
from serving.api.logs import Noted

log = logging.getLogger(__name__)

PATH = "/v1/traces"
TIMEOUT_S = 5.0
EVERY_MS = 2_000  # a portion of spans is sent so often


@dataclass(frozen=True, slots=True)
class Under:
    """A span that is open, and what made it the current one."""

    span: Any
    token: Any


class Tracing:
    """A part of the house. BadInput when the libraries are not installed. A collector that is away costs no request
    anything: spans are sent by a thread of their own, and lost when there are too many."""

    def __init__(self, house: House) -> None:
        try:
            from opentelemetry import context, trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            remedy = "install orimono[tracing], or unset it"
            raise BadInput("ORIMONO_OTLP_ENDPOINT", "is set, but OpenTelemetry is not installed", remedy) from error
        endpoint = house.settings.otlp_endpoint.rstrip("/")
        if not endpoint.endswith(PATH):
            endpoint += PATH
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it would repeat the address at each failure
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=TIMEOUT_S)
        self._provider = TracerProvider(resource=Resource.create({"service.name": "orimono"}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=EVERY_MS))
        self._tracer = self._provider.get_tracer("orimono.api")
        self._context, self._trace = context, trace
        self._carrier = TraceContextTextMapPropagator()

    def begin(self, method: str, headers: dict[bytes, bytes]) -> Under:
        given = headers.get(b"traceparent")
        parent = None
        if given is not None:
            carried = {"traceparent": given.decode("latin-1")}
            if (state := headers.get(b"tracestate")) is not None:
                carried["tracestate"] = state.decode("latin-1")
            parent = self._carrier.extract(carried)
        span = self._tracer.start_span(method, context=parent, kind=self._trace.SpanKind.SERVER)
        return Under(span, self._context.attach(self._trace.set_span_in_context(span)))

    def end(self, under: Under, route: str, status: int, noted: Noted) -> None:
        """``route``: method and path as documented."""
        span = under.span
        method, _, path = route.partition(" ")
        span.update_name(route)
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.route", path)
        span.set_attribute("http.response.status_code", status)
        span.set_attribute("orimono.request_id", noted.request_id)
        for key, value in (("orimono.job", noted.job), ("orimono.run", noted.run), ("orimono.caller", noted.caller)):
            if value:
                span.set_attribute(key, value)
        if status >= 500:
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR))
        self._context.detach(under.token)
        span.end()

    def close(self) -> None:
        self._provider.shutdown()
