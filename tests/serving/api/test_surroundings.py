"""What surrounds a request, over a real socket: ids, sizes, patience, tags, limits, headers, streams that end."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, StreamingResponse

from pipelines.identity.limits import Bench
from pipelines.settings import Settings
from serving.api import exchange, protocol
from serving.api.app import create_app
from serving.api.gate import Gate
from serving.api.house import House
from tests.serving.api.conftest import Api, Running, running


@pytest.fixture
def app(settings: Settings, house: House) -> FastAPI:
    """With routes that do what is hard to have from real ones."""
    made = create_app(settings, house)

    @made.post("/v1/x/echo")
    async def echo(request: Request) -> JSONResponse:
        return JSONResponse({"size": len(await request.body())})

    @made.post("/v1/uploads/x/size")
    async def size(request: Request) -> JSONResponse:
        return JSONResponse({"size": sum([len(part) async for part in request.stream()])})

    @made.get("/v1/x/tagged")
    async def tagged() -> JSONResponse:
        return JSONResponse({"a": 1}, headers={"ETag": 'W/"7"'})

    @made.get("/v1/x/plain")
    async def plain() -> dict[str, int]:
        return {"a": 1}

    @made.get("/v1/x/defect")
    async def defect() -> None:
        raise RuntimeError("secret figures")

    @made.get("/v1/x/events")
    async def events() -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "data: 1\n\n"
            await asyncio.sleep(3600)

        return StreamingResponse(parts(), media_type="text/event-stream")

    return made


def raw(server: Running) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def read_all(connection: socket.socket) -> bytes:
    found = b""
    while part := connection.recv(65536):
        found += part
    return found


def test_a_request_has_an_id_its_own_where_it_is_one(server: Running) -> None:
    given = httpx.get(f"{server.url}/v1/x/plain", headers={"X-Request-Id": "job-2026-0001"})
    assert given.headers["x-request-id"] == "job-2026-0001"
    for bad in ("short", "x" * 65, "new\tline-12345", 'quote"12345'):
        made = httpx.get(f"{server.url}/v1/x/plain", headers={"X-Request-Id": bad}).headers["x-request-id"]
        assert made != bad
        assert len(made) == 16
    problem = httpx.get(f"{server.url}/v1/nothing").json()
    assert len(problem["request_id"]) == 16


def test_a_nul_byte_goes_no_further(server: Running) -> None:
    for path in ("/v1/jobs/a%00b", "/v1/jobs?cursor=%00"):
        answer = httpx.get(f"{server.url}{path}")
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


def test_a_defect_is_a_problem_without_its_secrets(server: Running) -> None:
    answer = httpx.get(f"{server.url}/v1/x/defect")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "secret figures" not in answer.text


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_no_file_has_a_limit(server: Running, announced: bool) -> None:
    body = b"x" * (exchange.MOST_BODY + 1)
    content = body if announced else iter([body[: 1 << 19], body[1 << 19 :]])
    answer = httpx.post(f"{server.url}/v1/x/echo", content=content)
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert answer.json()["detail"] == exchange.TOO_LARGE
    largest = httpx.post(f"{server.url}/v1/x/echo", content=body[:-1])
    assert largest.json() == {"size": exchange.MOST_BODY}


def test_a_sender_who_goes_on_sends_no_more_than_is_read_on(server: Running) -> None:
    """The answer arrives although eight megabytes were on their way."""
    answer = httpx.post(f"{server.url}/v1/x/echo", content=b"x" * (8 << 20))
    assert answer.status_code == 413


def test_files_have_limits_of_their_own(server: Running) -> None:
    body = b"x" * (3 << 20)
    assert httpx.post(f"{server.url}/v1/uploads/x/size", content=body).json() == {"size": len(body)}


def test_a_body_that_does_not_come_is_not_waited_for(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "BODY_SECONDS", 0.3)
    with raw(server) as connection:
        connection.sendall(b"POST /v1/x/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc")
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer


def test_a_body_that_comes_byte_by_byte_has_an_end(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "SMALL_BODY_SECONDS", 0.5)
    with raw(server) as connection:
        connection.sendall(b"POST /v1/x/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        answer = connection.recv(65536)
        stop.set()
        thread.join()
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_head_that_does_not_come_is_not_waited_for(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    for begun in (b"", b"GET /v1/x/plain HTTP/1.1\r\nHost:"):
        with raw(server) as connection:
            connection.sendall(begun)
            assert read_all(connection) == b""


def test_a_head_that_does_not_end_is_refused(server: Running) -> None:
    with raw(server) as connection:
        connection.sendall(b"GET /v1/x/plain HTTP/1.1\r\nHost: localhost\r\n")
        answer = b""
        for i in range(100):
            try:
                connection.sendall(b"X-%d: %s\r\n" % (i, b"y" * 1000))
            except OSError:
                break
        with contextlib.suppress(ConnectionError):
            answer = read_all(connection)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    assert httpx.get(f"{server.url}/v1/x/plain").status_code == 200


def test_an_unchanged_answer_is_not_sent_again(server: Running) -> None:
    url = f"{server.url}/v1/x/plain"
    first = httpx.get(url)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    for asked in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = httpx.get(url, headers={"If-None-Match": asked})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert "content-length" not in again.headers
    assert httpx.get(url, headers={"If-None-Match": '"other"'}).json() == {"a": 1}


def test_a_tag_of_the_route_is_kept(server: Running) -> None:
    url = f"{server.url}/v1/x/tagged"
    assert httpx.get(url).headers["etag"] == 'W/"7"'
    assert httpx.get(url, headers={"If-None-Match": '"7"'}).status_code == 304


def test_a_connection_goes_on_after_an_unchanged_answer(server: Running) -> None:
    parts = urlsplit(server.url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    for _ in range(3):
        connection.request("GET", "/v1/x/plain", headers={"If-None-Match": "*"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (304, b"")
    connection.close()


def test_browsers_are_kept_from_mischief(server: Running) -> None:
    for path in ("/v1/x/plain", "/v1/nothing", "/health"):
        headers = httpx.get(f"{server.url}{path}").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


def test_who_is_refused_too_often_waits_and_others_do_not(settings: Settings, house: House) -> None:
    house.settings = settings = replace(settings, api_refusals_per_second="0.1")
    with (
        running(settings, house, create_app(settings, house)) as server,
        server.client("viewer", "mallory") as bad,
        server.client("operator", "ada") as good,
    ):
        assert [bad.get("/metrics").status_code for _ in range(3)] == [403, 429, 429]
        assert bad.get("/health").status_code == 200, "whoever watches over the process is always answered"
        late = bad.get("/metrics")
        assert (late.status_code, late.headers["connection"]) == (429, "close")
        assert int(late.headers["retry-after"]) >= late.json()["retry_after"] > 1
        assert [good.get("/metrics").status_code for _ in range(3)] == [200] * 3


def test_a_secret_that_is_new_each_time_is_no_way_round(settings: Settings, house: House) -> None:
    settings = replace(settings, api_refusals_per_second="2")
    house.settings = settings
    with running(settings, house, create_app(settings, house)) as server, httpx.Client(base_url=server.url) as client:
        statuses = [
            client.get("/v1/flags", headers={"Authorization": f"Bearer nonsense-{i}"}).status_code for i in range(40)
        ]
    assert set(statuses) == {401, 429}


def test_a_flood_of_one_leaves_others_alone(settings: Settings, house: House) -> None:
    """One key, from many connections at once; meanwhile somebody else is answered."""
    house.settings = settings = replace(settings, api_refusals_per_second="0.1")
    house.one(Gate).bench = Bench(most=8, seconds=0.05)
    with running(settings, house, create_app(settings, house)) as server:
        headers = {"Authorization": f"Bearer {server.key('viewer', 'mallory')}"}
        flooded: list[int] = []

        def flood() -> None:
            with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
                flooded.extend(client.get("/metrics").status_code for _ in range(25))

        threads = [threading.Thread(target=flood) for _ in range(12)]
        for thread in threads:
            thread.start()
        with server.client("operator", "ada") as other:
            answers = [other.get("/metrics").status_code for _ in range(20)]
        for thread in threads:
            thread.join()
    assert answers == [200] * 20
    assert set(flooded) == {403, 429}
    assert flooded.count(429) > 250


def test_streams_end_when_the_server_stops(settings: Settings, house: House, app: FastAPI) -> None:
    with running(settings, house, app) as server:
        with httpx.stream("GET", f"{server.url}/v1/x/events", timeout=20) as answer:
            lines = answer.iter_lines()
            assert next(lines) == "data: 1"
            house.draining = True
            rest = [line for line in lines if line]
        assert rest == ["retry: 1000", ": the server stops; ask again"]


def test_half_an_answer_is_cut_off(settings: Settings, house: House) -> None:
    app = create_app(settings, house)

    @app.get("/v1/x/half")
    async def half() -> StreamingResponse:
        def parts() -> Iterator[bytes]:
            yield b"abc"
            raise RuntimeError("in the middle")

        return StreamingResponse(parts(), media_type="application/octet-stream")

    with running(settings, house, app) as server, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{server.url}/v1/x/half")


def test_the_bearer_is_who_they_are(api: Api) -> None:
    answer = api("viewer").get("/metrics")
    assert answer.status_code == 403
    assert json.loads(answer.content)["status"] == 403
