"""What Prometheus reads, and what is kept by minutes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipelines.errors import Unavailable
from pipelines.storage import api_traffic
from pipelines.storage.api_traffic import Portion
from pipelines.storage.database import Database
from serving.api.house import House
from serving.api.traffic import Traffic
from tests.serving.api.conftest import Api, Running

MINUTE = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def portion(n: int, failed: int = 0, refused: int = 0) -> Portion:
    counts = np.zeros(50, np.int64)
    counts[10] = n
    return Portion(n, failed, refused, 2.5 * n, counts)


def test_prometheus_reads_routes_statuses_and_latencies(server: Running, api: Api) -> None:
    client = api("operator")
    for path in ("/v1/jobs/none", "/v1/jobs/other", "/v1/nothing?secret=1", "/health/live"):
        client.get(path)
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {family.name: family for family in text_string_to_metric_families(answer.text)}
    requests = {
        (s.labels["method"], s.labels["route"], s.labels["status"]): s.value
        for s in found["orimono_http_requests"].samples
        if s.name.endswith("_total")
    }
    assert requests["GET", "/v1/jobs/{name}", "404"] == 2
    assert requests["GET", "(no such path)", "404"] == 1
    assert requests["GET", "/health/live", "200"] == 1
    assert "secret" not in answer.text
    samples = [s for s in found["orimono_http_request_seconds"].samples if s.labels.get("route") == "/v1/jobs/{name}"]
    buckets = [s.value for s in samples if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 2
    assert {s.labels["component"] for s in found["orimono_component_healthy"].samples} >= {"database", "disk"}
    assert "process_resident_memory_bytes" in found


def test_figures_are_for_operators(server: Running, api: Api) -> None:
    assert httpx.get(f"{server.url}/metrics").status_code == 401
    assert api("editor").get("/metrics").status_code == 403
    assert api("operator", "olga", ["audit"]).get("/metrics").status_code == 403


def test_portions_are_added_up(database: Database) -> None:
    with database.session() as session:
        api_traffic.add(session, [("GET /a", MINUTE, portion(3, failed=1)), ("GET /b", MINUTE, portion(1))])
        api_traffic.add(session, [("GET /a", MINUTE, portion(2, refused=2))])
        api_traffic.add(session, [("GET /a", MINUTE + timedelta(minutes=5), portion(10))])
    with database.session() as session:
        found = api_traffic.totals(session, MINUTE, MINUTE + timedelta(minutes=5))
        assert {route: (p.n, p.failed, p.refused, p.latency_ms) for route, p in found.items()} == {
            "GET /a": (5, 1, 2, 12.5),
            "GET /b": (1, 0, 0, 2.5),
        }
        assert found["GET /a"].latency_counts[10] == 5
        assert found["GET /a"].latency_counts.sum() == 5
        later = api_traffic.totals(session, MINUTE + timedelta(minutes=5), MINUTE + timedelta(hours=1))
        assert {route: p.n for route, p in later.items()} == {"GET /a": 10}


def test_what_was_counted_is_handed_over_once(house: House, database: Database) -> None:
    traffic = house.one(Traffic)
    for ms in (0.5, 3.0, 40.0):
        traffic.of("POST /v1/x").count(200, ms)
    traffic.of("POST /v1/x").count(503, 1.0)
    traffic.of("GET /v1/y").count(404, 1.0)
    traffic.flush(MINUTE)
    traffic.flush(MINUTE)
    traffic.of("POST /v1/x").count(200, 1.0)
    traffic.flush(MINUTE)
    with database.session() as session:
        found = api_traffic.totals(session, MINUTE, MINUTE + timedelta(minutes=1))
    assert (found["POST /v1/x"].n, found["POST /v1/x"].failed) == (5, 1)
    assert found["POST /v1/x"].latency_ms == pytest.approx(45.5)
    assert (found["GET /v1/y"].n, found["GET /v1/y"].refused) == (1, 1)


def test_what_was_counted_waits_while_the_database_is_away(
    house: House, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    traffic = house.one(Traffic)
    assert house.studio
    traffic.of("GET /v1/y").count(200, 1.0)
    house.studio.database.give_up()
    with pytest.raises(Unavailable):
        traffic.flush(MINUTE)
    traffic.of("GET /v1/y").count(200, 1.0)
    monkeypatch.setattr("serving.api.traffic.MOST_PENDING", 1)
    with pytest.raises(Unavailable):
        traffic.flush(MINUTE + timedelta(minutes=1))
    house.studio.database.dispose()
    traffic.flush(MINUTE + timedelta(minutes=2))
    traffic.flush(MINUTE + timedelta(minutes=2))
    with database.session() as session:
        minutes = [MINUTE + timedelta(minutes=n) for n in range(5)]
        found = [api_traffic.totals(session, at, at + timedelta(minutes=1)) for at in minutes]
    assert [sum(p.n for p in one.values()) for one in found] == [1, 0, 1, 0, 0]
