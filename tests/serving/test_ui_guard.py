"""Dagster's webserver behind the guard, as a process of its own: what it answers, and to whom it answers nothing."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from serving import ui_guard
from tests.dags.house import free_ports

CHROMIUM = shutil.which("chromium")
LAUNCH = "mutation { __typename }"
JSON = {"Content-Type": "application/json"}
DEFINITIONS = """
import dagster as dg

@dg.asset
def cloth() -> None: ...

defs = dg.Definitions(assets=[cloth])
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A guarded webserver that people reach as https://studio.example, and processes as http://webserver:3000."""
    folder = tmp_path_factory.mktemp("ui")
    (folder / "cloth.py").write_text(DEFINITIONS)
    (found,) = free_ports(1)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ORIMONO_", "DAGSTER_"))}
    environment |= {
        "ORIMONO_DAGSTER_URL": "https://studio.example:443/",
        "ORIMONO_DAGSTER_INTERNAL_URL": "http://webserver:3000",
        "DAGSTER_HOME": str(folder),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": str(Path(ui_guard.__file__).parents[1]),
    }
    command = [sys.executable, "-m", "serving.ui_guard", "--host", "127.0.0.1", "--port", str(found)]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "-f", str(folder / "cloth.py")], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        end = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", found), 1).close()
                break
            except OSError:
                assert server.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < end, (folder / "log").read_text()
                time.sleep(0.2)
        yield found
    finally:
        server.terminate()
        try:
            server.wait(60)
        finally:
            server.kill()
            server.wait()


def ask(
    port: int,
    method: str = "POST",
    path: str = "/graphql",
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    body: bytes | None = None,
) -> tuple[int, str]:
    """Status and body; ``headers`` are all that is sent but the length. Host is the address unless they name one."""
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        own = any(name.lower() == "host" for name, _ in pairs)
        connection.putrequest(method, path, skip_host=own, skip_accept_encoding=True)
        for name, value in pairs:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def query(text: str = "{ version }") -> bytes:
    return json.dumps({"query": text}).encode()


def test_a_program_asks_and_is_answered(port: int) -> None:
    status, text = ask(port, headers=JSON, body=query())
    assert status == 200 and json.loads(text)["data"]["version"]
    status, text = ask(port, headers={"Content-Type": "application/json; charset=utf-8"}, body=query())
    assert status == 200


@pytest.mark.parametrize(
    "host", ["localhost:3000", "LOCALHOST", "[::1]:3000", "10.1.2.3:3000", "studio.example", "webserver:3000"]
)
def test_its_own_names_and_every_address_are_taken(port: int, host: str) -> None:
    assert ask(port, headers={**JSON, "Host": host}, body=query())[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:3000", "studio.example.evil.example", "a b"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/graphql"), ("GET", "/server_info")])
def test_a_name_of_somebody_else_is_refused(port: int, host: str, method: str, path: str) -> None:
    body = query() if method == "POST" else None
    status, text = ask(port, method, path, {**JSON, "Host": host}, body)
    assert status in (400, 421)  # uvicorn's own parser refuses what is no Host at all
    assert "dagster" not in text.lower().replace("orimono_dagster_url", "")


def test_two_hosts_or_origins_are_none(port: int) -> None:
    host = ("Host", "localhost")
    twice = [host, ("Origin", "http://localhost"), ("Origin", "http://evil.example"), *JSON.items()]
    assert ask(port, headers=twice, body=query())[0] == 400
    assert ask(port, headers=[host, ("Host", "evil.example"), *JSON.items()], body=query())[0] == 400


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:3000", "http://localhost:3000", 200),
        ("localhost", "http://localhost", 200),
        ("10.1.2.3:3000", "http://10.1.2.3:3000", 200),
        ("studio.example", "https://studio.example", 200),
        ("webserver:3000", "https://studio.example", 200),  # a proxy asks by the inner name
        ("localhost:3000", "http://localhost:8000", 403),  # another server of this machine
        ("localhost:3000", "https://evil.example", 403),
        ("localhost:3000", "null", 403),
        ("localhost:3000", "", 403),
        ("localhost:3000", "file://localhost:3000", 403),
    ],
)
def test_a_page_asks_only_the_server_that_it_came_from(port: int, host: str, origin: str, status: int) -> None:
    assert ask(port, headers={**JSON, "Host": host, "Origin": origin}, body=query())[0] == status
    upgrade = {**_UPGRADE, "Host": host, "Origin": origin}
    assert ask(port, "GET", headers=upgrade)[0] == (101 if status == 200 else 403)


_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(b"sixteen letters.").decode(),
    "Sec-WebSocket-Protocol": "graphql-ws",
}


def test_a_socket_to_a_name_of_somebody_else_is_refused(port: int) -> None:
    assert ask(port, "GET", headers={**_UPGRADE, "Host": "evil.example"})[0] == 403


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)]
)
def test_what_the_browser_says_of_the_asking_page_is_believed(port: int, site: str, status: int) -> None:
    assert ask(port, headers={**JSON, "Sec-Fetch-Site": site}, body=query())[0] == status


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("text", ["{ version }", LAUNCH])
def test_a_link_asks_nothing(port: int, method: str, text: str) -> None:
    assert ask(port, method, f"/graphql?query={quote(text)}")[0] == 405


def test_the_page_for_queries_is_served_and_runs_none(port: int) -> None:
    status, text = ask(port, "GET", f"/graphql?query={quote(LAUNCH)}", {"Accept": "text/html"})
    assert status == 200 and "graphiql" in text.lower()


@pytest.mark.parametrize(
    "kind",
    [None, "text/plain", "text/plain; application/json", "application/x-www-form-urlencoded", "application/graphql"],
)
@pytest.mark.parametrize("path", ["/graphql", f"/graphql?query={quote(LAUNCH)}", "/report_asset_materialization/cloth"])
def test_what_a_form_could_send_is_refused(port: int, kind: str | None, path: str) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    assert ask(port, path=path, headers=headers, body=query(LAUNCH))[0] == 415


def test_a_body_without_length_or_end_is_refused(port: int) -> None:
    assert ask(port, headers={**JSON, "Transfer-Encoding": "chunked"})[0] == 411
    assert ask(port, headers={**JSON, "Content-Length": str(ui_guard.MOST_BODY + 1)})[0] == 413


def test_what_started_it_wrongly_is_told_in_a_sentence() -> None:
    environment = {**os.environ, "ORIMONO_DAGSTER_ULR": "x"}
    done = subprocess.run(
        [sys.executable, "-m", "serving.ui_guard"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "ORIMONO_DAGSTER_ULR: is not a setting of Orimono; see `orimono config` for the list"


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_ui_works_in_a_browser(port: int) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_page()
            refused: list[str] = []
            page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
            with page.expect_websocket(timeout=90_000) as socket_opened:
                page.goto(f"http://localhost:{port}/assets/cloth", timeout=90_000)
            page.get_by_role("button", name="Materialize").first.wait_for(timeout=90_000)
            assert socket_opened.value.url.endswith("/graphql")
            assert refused == []
        finally:
            browser.close()
