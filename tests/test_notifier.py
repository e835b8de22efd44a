"""Telling people: to a real HTTP server that stands for Slack, once, and never at the caller's expense."""

from __future__ import annotations

import json
import logging
import multiprocessing
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.synchronize import Barrier
from typing import Any

import pytest
import time_machine

from pipelines import clock, notifier
from pipelines.notifier import Notifier
from pipelines.settings import Settings
from pipelines.storage.database import Database
from pipelines.storage.upkeep_tables import Notice

SECRET = "T0SECRET/B0SECRET"


@dataclass
class Slack:
    url: str = ""
    status: int = 200
    location: str = ""
    drip: threading.Event | None = None  # while not set, the answer comes byte by byte
    got: list[dict[str, Any]] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        return [message["blocks"][0]["text"]["text"] for message in self.got]


@pytest.fixture
def slack() -> Iterator[Slack]:
    state = Slack()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"].startswith("application/json")
            state.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            if state.drip is not None:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not state.drip.wait(0.05):
                    self.wfile.write(b"x")
                return
            self.send_response(state.status)
            if state.location:
                self.send_header("Location", state.location)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/services/{SECRET}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def told(settings: Settings, database: Database, slack: Slack) -> Notifier:
    return Notifier(replace(settings, slack_webhook=slack.url), database)


def test_people_read_what_was_decided(told: Notifier, slack: Slack) -> None:
    assert told.send("decisions", "preset_cls v20261122: 5 % -> 25 %", ["120 calls", "0 failed"], "k")
    assert slack.got[0]["text"] == "🧵 preset_cls v20261122: 5 % -&gt; 25 %"
    assert slack.texts == ["🧵 *preset_cls v20261122: 5 % -&gt; 25 %*\n• 120 calls\n• 0 failed"]


def test_a_name_cannot_call_the_whole_channel(told: Notifier, slack: Slack) -> None:
    told.send("alarms", "<!channel> & <http://x|y>", ["春 \ud800"])
    assert slack.texts == ["🚨 *&lt;!channel&gt; &amp; &lt;http://x|y&gt;*\n• 春 ?"]


def test_a_long_message_is_cut_to_what_slack_takes(told: Notifier, slack: Slack) -> None:
    assert told.send("alarms", "t", ["x" * 10_000])
    assert len(slack.texts[0]) < 3000 and slack.texts[0].endswith("(cut; all of it is in the audit trail)")


def test_the_same_is_told_once_an_hour_by_all_machines(
    settings: Settings, database: Database, told: Notifier, slack: Slack
) -> None:
    start = clock.now()
    with time_machine.travel(start, tick=False) as moved:
        assert told.send("alarms", "a", key="k")
        assert told.send("alarms", "a", key="k") is False
        assert told.send("alarms", "another", key="other")
        assert told.send("alarms", "no key") and told.send("alarms", "no key")
        moved.shift(3599)
        elsewhere = replace(settings, home=f"{settings.home}2", slack_webhook=slack.url)
        fresh = Notifier(elsewhere, Database(database.settings))  # another process's, on another machine
        assert fresh.send("alarms", "a", key="k") is False
        moved.shift(2)
        assert fresh.send("alarms", "a", key="k", within_s=86_400) is False
        assert fresh.send("alarms", "a", key="k")
        moved.shift(-7200)  # the clock was set back: the last time lies ahead
        assert fresh.send("alarms", "a", key="k")
    assert len(slack.got) == 6


def _tell_at_once(settings: Settings, database: Database, barrier: Barrier) -> None:
    barrier.wait()
    for _ in range(5):
        Notifier(settings, database).send("alarms", "a", key="k")


def test_processes_at_once_tell_it_once(settings: Settings, database: Database, slack: Slack) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    with_slack = replace(settings, slack_webhook=slack.url)
    workers = [context.Process(target=_tell_at_once, args=(with_slack, database, barrier)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(slack.got) == 1


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_a_refusal_is_logged_without_the_address_and_may_be_tried_again(
    told: Notifier, slack: Slack, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    slack.status = status
    assert told.send("alarms", "disk full", ["95 %"], "k") is False
    assert f"Slack was not told (status {status}): disk full: 95 %" in caplog.text
    assert SECRET not in caplog.text and "127.0.0.1" not in caplog.text
    slack.status = 200
    assert told.send("alarms", "disk full", ["95 %"], "k")


def test_it_does_not_follow_to_another_address(told: Notifier, slack: Slack) -> None:
    slack.status, slack.location = 302, slack.url
    assert told.send("alarms", "a") is False
    assert len(slack.got) == 1


@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1:1/{SECRET}",
        f"file:///etc/{SECRET}",
        f"{SECRET}",
        f"http://[{SECRET}",
        f"http://127.0.0.1:99999/{SECRET}",
        f"http://127.0.0.1:1/ {SECRET}",
        f"http://\n{SECRET}",
    ],
)
def test_whatever_the_address_is_nobody_is_harmed(
    settings: Settings, database: Database, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert Notifier(replace(settings, slack_webhook=url), database).send("alarms", "disk full", key="k") is False
    assert "disk full" in caplog.text
    assert SECRET not in caplog.text


def test_a_server_that_drips_keeps_nobody_waiting(
    told: Notifier, slack: Slack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slack.drip = threading.Event()
    monkeypatch.setattr(notifier, "TIMEOUT_S", 0.3)
    assert told.send("alarms", "a", key="k") is False
    assert "no answer within 0.3 s" in caplog.text
    slack.drip.set()
    time.sleep(0.1)  # its thread ends before the server does


def test_without_a_webhook_it_is_in_the_log(
    settings: Settings, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    plain = Notifier(settings, database)
    caplog.set_level(logging.INFO, logger="pipelines.notifier")
    assert plain.send("decisions", "goes up", ["120 calls"], "a")
    assert plain.send("alarms", "disk full", [], "b")
    assert plain.send("alarms", "disk full", [], "b") is False
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("INFO", "goes up: 120 calls"),
        ("WARNING", "disk full: "),
    ]


def test_a_database_that_is_away_costs_the_memory_not_the_message(
    settings: Settings, slack: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    away = replace(settings, database_url="postgresql://orimono@127.0.0.1:1/orimono", slack_webhook=slack.url)
    told = Notifier(away, Database(away))
    assert told.send("alarms", "a", key="k") and told.send("alarms", "a", key="k")
    assert len(slack.got) == 2
    assert "cannot be remembered" in caplog.text


def test_what_is_remembered_does_not_grow_for_ever(told: Notifier, database: Database) -> None:
    for i in range(5):
        told.send("alarms", "a", key=f"k{i}")
    with time_machine.travel(clock.now().timestamp() + 8 * 86_400):
        told.send("alarms", "a", key="last")
    with database.session() as session:
        assert session.query(Notice).count() == 1
