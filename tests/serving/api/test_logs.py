"""Log lines: JSON, one a request, with what they belong to and without secrets."""

from __future__ import annotations

import io
import json
import logging
import threading
from dataclasses import replace

import httpx
import pytest

from pipelines.settings import Settings
from serving.api import logs
from serving.api.house import House
from serving.api.logs import Access, Noted, Writer
from tests.serving.api.conftest import running

KEY = "orm_0a1b2c3d_" + "Ab-_" * 10 + "xyz"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"


def read(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_request_is_a_line_and_so_is_what_is_said_meanwhile(settings: Settings, house: House) -> None:
    stream = io.StringIO()
    with logs.to_stderr(settings, stream), running(settings, house) as server, server.client("editor", "ada") as client:
        client.get("/v1/jobs/summer-night", headers={"X-Request-Id": "request-0001"})
        client.get("/v1/jobs?limit=0&secret=hunter2", headers={"X-Request-Id": "request-0002"})
        httpx.get(f"{server.url}/health/live", headers={"X-Request-Id": "request-0003"})
        key = client.headers["Authorization"].removeprefix("Bearer ")
    lines = {str(line.get("request_id")): line for line in read(stream) if line.get("event") == "request"}
    first = lines["request-0001"]
    assert (first["route"], first["status"], first["job"]) == ("GET /v1/jobs/{name}", 404, "summer-night")
    assert first["caller"] == f"key:{key[4:12]}"
    assert isinstance(first["ms"], float)
    assert lines["request-0002"]["status"] == 422
    assert "request-0003" not in lines, "health is told at DEBUG only"
    assert key not in stream.getvalue()
    assert "hunter2" not in stream.getvalue()
    assert "ada" not in stream.getvalue()


def test_what_a_thread_says_belongs_to_the_request(settings: Settings) -> None:
    stream = io.StringIO()
    noted = Noted("request-0001", caller="key:1")
    with logs.to_stderr(settings, stream):
        token = logs.begin(noted)
        logs.note(job="summer-night", run="run-1")
        logging.getLogger("pipelines.x").info("said")
        logs.end(token)
        logs.note(job="other")
        logging.getLogger("serving.x").warning("said outside")
        logging.getLogger("library").info("not told")
    said, outside = read(stream)
    assert (said["request_id"], said["job"], said["run"]) == ("request-0001", "summer-night", "run-1")
    assert (said["message"], said["level"], said["logger"]) == ("said", "INFO", "pipelines.x")
    assert "request_id" not in outside
    assert noted.job == "summer-night"


@pytest.mark.parametrize(
    "text",
    [
        f"key {KEY} was refused",
        f"Authorization: Bearer {KEY}",
        f"token {TOKEN}",
        "GET /v1/files/c2lnbmVk.MTIz/video.mp4",
        'header "Bearer abc.def"',
    ],
)
def test_no_secret_is_in_a_line_whoever_says_it(settings: Settings, text: str) -> None:
    stream = io.StringIO()
    with logs.to_stderr(settings, stream):
        try:
            raise RuntimeError(text)
        except RuntimeError:
            logging.getLogger("serving.x").exception("it failed: %s", text)
    (line,) = read(stream)
    for secret in (KEY[13:], TOKEN, "c2lnbmVk.MTIz", "abc.def"):
        assert secret not in str(line["message"])
    assert "***" in str(line["message"])


def test_a_line_stays_a_line(settings: Settings) -> None:
    stream = io.StringIO()
    with logs.to_stderr(settings, stream):
        logging.getLogger("serving.x").warning('a\nb {"level": "ERROR"} \ud800 夜')
    (line,) = read(stream)
    assert line["message"] == 'a\nb {"level": "ERROR"} \ud800 夜'


def test_what_cannot_be_written_in_time_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(io.StringIO):
        def __init__(self) -> None:
            super().__init__()
            self.go = threading.Event()

        def write(self, text: str) -> int:
            self.go.wait(20)
            return super().write(text)

    stream = Slow()
    writer = Writer(stream)
    writer.put("first")
    while writer._lines:  # until its thread holds the first
        threading.Event().wait(0.01)
    for i in range(logs.MOST_WAITING + 3):
        writer.put(f"line {i}")
    stream.go.set()
    writer.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1 + logs.MOST_WAITING + 1
    assert json.loads(lines[-1])["message"] == "3 lines were lost"


def test_access_lines_are_complete() -> None:
    line = json.loads(logs.access_line(Access(0.5, "GET /v1/jobs", 200, 1.234, 17, Noted("request-0001", run="r"))))
    assert line == {
        "ts": "1970-01-01T00:00:00.500+00:00",
        "level": "INFO",
        "event": "request",
        "request_id": "request-0001",
        "route": "GET /v1/jobs",
        "status": 200,
        "ms": 1.23,
        "bytes": 17,
        "run": "r",
    }


def test_quiet_requests_are_told_where_all_is(settings: Settings, house: House) -> None:
    stream = io.StringIO()
    house.settings = settings = replace(settings, log_level="DEBUG")
    with logs.to_stderr(settings, stream), running(settings, house) as server:
        httpx.get(f"{server.url}/health/live")
    assert "GET /health/live" in [line.get("route") for line in read(stream)]
