"""The Dagster UI as the API asks it: in its own language, not too often, and without waiting for one that is away."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from graphql import parse, validate

from pipelines.settings import Settings
from serving import dagster_ui
from serving.api import watching
from serving.api.house import House
from serving.dagster_ui import DagsterUi, Run


class _Dagster(BaseHTTPRequestHandler):
    """Answers each question with the first of ``answers``, until it is the last one."""

    def do_POST(self) -> None:
        server: Any = self.server
        server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        status, answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing: tests read their own output."""


@pytest.fixture
def dagster() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Dagster)
    server.asked, server.answers = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def ui(dagster: Any, settings: Settings) -> Iterator[DagsterUi]:
    found = DagsterUi(House(replace(settings, dagster_url=f"http://127.0.0.1:{dagster.server_port}")))
    yield found
    found.close()


def runs(*found: tuple[str, str]) -> dict[str, Any]:
    results = [{"runId": run, "status": status} for run, status in found]
    return {"data": {"runsOrError": {"__typename": "Runs", "results": results}}}


@pytest.mark.parametrize("question", [dagster_ui._RUNS, watching.DAEMONS])
def test_questions_are_ones_that_dagster_understands(question: str) -> None:
    from dagster_graphql.schema import create_schema

    assert validate(create_schema().graphql_schema, parse(question)) == []


def test_a_batch_has_its_newest_run(ui: DagsterUi, dagster: Any) -> None:
    dagster.answers = [(200, runs(("0a1b", "STARTED"))), (200, runs())]
    assert ui.newest_run("batch-1") == Run("0a1b", "STARTED")
    assert ui.newest_run("batch-1") == Run("0a1b", "STARTED"), "told again"
    assert ui.newest_run("batch-2") is None
    told = [one["variables"]["filter"]["tags"] for one in dagster.asked]
    assert told == [[{"key": "dagster/partition", "value": f"batch-{n}"}] for n in (1, 2)], "each asked once"


@pytest.mark.parametrize("answer", [(500, {}), (200, {"errors": ["no"]}), (200, {"data": None}), (200, [])])
def test_one_that_does_not_say_is_not_asked_by_every_page(ui: DagsterUi, dagster: Any, answer: tuple[int, Any]) -> None:
    dagster.answers = [answer]
    assert ui.newest_run("batch-1") is None
    assert ui.newest_run("batch-2") is None
    assert len(dagster.asked) == 1
