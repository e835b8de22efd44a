"""The client against the real server: a job from upload to result, what is refused, and what breaks on the way."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from serving import client as api_client
from serving.client import Orimono, every
from serving.wire.consents import ConsentWish
from serving.wire.flags import FlagWish
from serving.wire.jobs import Job
from serving.wire.keys import KeyWish
from serving.wire.live import SketchWish, Start
from serving.wire.submissions import ArrangementWanted
from tests.serving.api import work
from tests.serving.api.conftest import Running


@pytest.fixture
def ada(server: Running) -> Iterator[Orimono]:
    with Orimono(server.url, server.key("editor", "ada")) as found:
        yield found


@pytest.fixture
def operator(server: Running) -> Iterator[Orimono]:
    with Orimono(server.url, server.key("administrator", "olga")) as found:
        yield found


def test_a_melody_goes_up_and_its_arrangement_comes_down(ada: Orimono, server: Running, tmp_path: Path) -> None:
    sent: list[tuple[int, int]] = []
    upload = ada.upload(work.TUNE, "melody", watch=lambda done, of: sent.append((done, of)))
    job = ada.create_arrangement(ArrangementWanted(melody=upload, styles=("chorale",), candidates=1, title="Evening"))
    assert (job.status, job.owner) == ("waiting", "ada")
    seen: list[Job] = []
    watcher = threading.Thread(target=lambda: seen.extend(ada.watch_job(job.name)))
    watcher.start()

    work.scanned(server.house)
    key = work.planned(server.house)
    work.requested(server.house, key)
    from pipelines.composing import batch

    assert [r.error for r in batch.arrange(work.studio_of(server.house), key)] == [None]
    work.finished(server.house, key)
    watcher.join(30)

    assert not watcher.is_alive()
    assert seen[-1].status == "finished"
    assert seen[-1].progress == 1
    assert sent[-1] == (work.TUNE.stat().st_size,) * 2
    midi = next(result for result in ada.list_results(job.name).items if result.kind == "midi")
    assert ada.fetch(midi, tmp_path).read_bytes()[:4] == b"MThd"
    (made,) = ada.list_arrangements(job=job.name).items
    assert ada.choose_arrangement(made.id).candidate == 1
    assert [one.name for one in every(ada.list_jobs, limit=1)] == [job.name]


def test_failures_are_the_apis_own_sentences(ada: Orimono, server: Running, tmp_path: Path) -> None:
    with pytest.raises(api_client.Missing, match=r"^job nothing: does not exist; "):
        ada.get_job("nothing")
    with pytest.raises(api_client.Forbidden, match="lacks the scope operate"):
        ada.list_flags()
    with pytest.raises(api_client.Unauthorized), Orimono(server.url, "orm_00000000_" + "x" * 43) as nobody:
        nobody.get_me()
    (tmp_path / "song.wav").write_bytes(b"no sound at all, but a good deal of text")
    with pytest.raises(api_client.Invalid, match=r"song\.wav"):
        ada.upload(tmp_path / "song.wav", "music")


def test_a_change_is_meant_for_what_was_seen(operator: Orimono) -> None:
    seen = operator.get_flag("enable_align")

    changed = operator.set_flag("enable_align", FlagWish(enabled=False, reason="maintenance"), etag=seen.etag)

    assert not changed.enabled
    with pytest.raises(api_client.Conflicting, match="changed"):
        operator.set_flag("enable_align", FlagWish(enabled=True, reason="too late"), etag=seen.etag)


def test_consents_and_what_somebody_is(ada: Orimono, server: Running) -> None:
    work.put(server.house, "dance", "ada", {"mix-dance.wav": work.tone()})
    work.scanned(server.house)

    given = ada.set_consent("dance", ConsentWish(quality=False, training=True))

    assert given.training
    assert [one.job for one in ada.list_consents().items] == ["dance"]
    assert (ada.get_me().name, ada.get_me().role) == ("ada", "editor")
    assert ada.get_health().status in ("ok", "degraded")


def test_live_and_sketches(ada: Orimono) -> None:
    with ada.live(Start(type="start", style="pop", tempo=120, key="C major")) as session:
        beats = []
        for beat in range(8):
            session.note_on(beat, 60 + beat % 5)
            beats.append(session.advance(beat))
            session.note_off(beat + 0.9, 60 + beat % 5)
    assert any(beat is not None and beat.events for beat in beats)
    assert session.ready.parts

    sketch = ada.sketch(SketchWish(melody=tuple((float(i), 1.0, 60 + i) for i in (0, 2, 4, 5, 7, 5, 4, 2))))
    assert sketch.candidates[0].parts


def test_a_session_that_cannot_begin_says_why(server: Running) -> None:
    viewer = Orimono(server.url, server.key("viewer", "vera"))
    with viewer, pytest.raises(api_client.Forbidden, match="lacks the scope live"):
        viewer.live(Start(type="start"))
    with Orimono(server.url, "orm_none") as nobody, pytest.raises(api_client.Unauthorized):
        nobody.live(Start(type="start"))
    editor = Orimono(server.url, server.key("editor", "ada"))
    with editor, pytest.raises(api_client.Invalid, match="H major"):
        editor.live(Start(type="start", key="H major"))


class _Shaky(BaseHTTPRequestHandler):
    """An API that is not well: its answers are a list, each taken once."""

    protocol_version = "HTTP/1.1"

    def _next(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.server.asked.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))  # type: ignore[attr-defined]
        answers = self.server.answers  # type: ignore[attr-defined]
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        if status == 0:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _next  # noqa: N815

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def shaky() -> Iterator[Any]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Shaky)
    server.asked, server.answers = [], []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def client_of(server: Any, waits: list[float], attempts: int = 5) -> Orimono:
    made = Orimono(f"http://127.0.0.1:{server.server_port}", "orm_secret", attempts=attempts)
    made.transport._sleep = waits.append
    return made


ME = json.dumps(
    {"name": "ada", "pseudonym": "p", "role": "editor", "scopes": [], "everybody": False, "label": "key:1"}
).encode()


def test_what_is_busy_is_asked_again_when_it_says(shaky: Any) -> None:
    problem = json.dumps({"title": "Busy", "status": 503, "detail": "later", "retry_after": 7.0}).encode()
    shaky.answers = [(503, {}, problem), (429, {"Retry-After": "3"}, b"<html>"), (0, {}, b""), (200, {}, ME)]
    waits: list[float] = []

    with client_of(shaky, waits) as ada:
        assert ada.get_me().name == "ada"

    assert waits[:2] == [7.0, 3.0]
    assert len(waits) == 3


def test_a_post_is_sent_again_under_the_same_key(shaky: Any) -> None:
    shaky.answers = [(0, {}, b""), (200, {}, b'{"id":1,"name":"n","style":"pop","candidate":1,"among":2}')]

    with client_of(shaky, []) as ada:
        ada.choose_arrangement(1)

    keys = [headers["Idempotency-Key"] for _, _, headers, _ in shaky.asked]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_what_nothing_guards_is_sent_once(shaky: Any) -> None:
    shaky.answers = [(0, {}, b"")]
    with client_of(shaky, []) as ada:
        for ask in (lambda: ada.create_key(KeyWish()), lambda: ada.open_original(1)):
            with pytest.raises(api_client.Unreachable):
                ask()
    assert len(shaky.asked) == 2


def test_patience_has_an_end(shaky: Any) -> None:
    shaky.answers = [(503, {"Retry-After": "1"}, b"")]
    with client_of(shaky, [], attempts=3) as ada, pytest.raises(api_client.Busy):
        ada.get_me()
    assert len(shaky.asked) == 3
    shaky.answers = [(503, {"Retry-After": "86400"}, b"")]
    with client_of(shaky, waits := []) as ada, pytest.raises(api_client.Busy):
        ada.get_me()
    assert waits == []


def test_the_key_goes_nowhere_else(shaky: Any, server: Running, tmp_path: Path) -> None:
    from serving.wire.results import Result

    address = f"http://127.0.0.1:{shaky.server_port}/x.mid"
    elsewhere = Result(path="x.mid", system=None, kind="midi", media_type="audio/midi", size=1, url=address)
    with Orimono(server.url, "orm_secret") as ada, pytest.raises(ValueError, match="another server"):
        ada.fetch(elsewhere, tmp_path)
    shaky.answers = [(307, {"Location": server.url}, b"")]
    with client_of(shaky, []) as ada, pytest.raises(Exception, match="JSON"):
        ada.get_me()
    assert len(shaky.asked) == 1


def test_odd_names_stay_in_their_place(ada: Orimono) -> None:
    for name in ("../keys", "a/b", "a?b=c", "名前", "%2e%2e"):
        with pytest.raises((api_client.Missing, api_client.Invalid)):
            ada.get_job(name)
