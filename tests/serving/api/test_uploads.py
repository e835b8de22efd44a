"""Uploads over a real server: with the public tus client, and with requests that no client should send."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from pipelines import clock
from pipelines.governance import budget
from pipelines.governance.people import Actor
from pipelines.identity import keys
from pipelines.identity.callers import Caller, scopes_of
from pipelines.intake import pieces, receiving
from pipelines.settings import PROJECT, Settings
from pipelines.storage import pending_uploads
from pipelines.storage.database import Database
from pipelines.storage.tables import StorageUse
from serving.api import tus
from serving.api.house import House
from serving.views import uploads as views
from tests.intake.conftest import media as media
from tests.serving.api.conftest import Api, Running

TUS = {"Tus-Resumable": "1.0.0"}
PIECE = {**TUS, "Content-Type": "application/offset+octet-stream"}


def said(name: str, kind: str, **more: str) -> str:
    pairs = {"filename": name, "kind": kind, **more}
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())


def announced(
    client: httpx.Client, size: int, name: str = "song.wav", kind: str = "music", **more: str
) -> httpx.Response:
    headers = {**TUS, "Upload-Length": str(size), "Upload-Metadata": said(name, kind, **more)}
    return client.post("/v1/uploads", headers=headers)


def place_of(client: httpx.Client, size: int, name: str = "song.wav", kind: str = "music", **more: str) -> str:
    answer = announced(client, size, name, kind, **more)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["Location"])


def patched(client: httpx.Client, place: str, offset: int, data: bytes, **headers: str) -> httpx.Response:
    return client.patch(place, headers={**PIECE, "Upload-Offset": str(offset), **headers}, content=data)


def offset_of(client: httpx.Client, place: str) -> int:
    answer = client.head(place, headers=TUS)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    return int(answer.headers["Upload-Offset"])


def sent(client: httpx.Client, data: bytes, name: str = "song.wav", kind: str = "music", **more: str) -> dict:
    """The upload after all of it was sent at once."""
    place = place_of(client, len(data), name, kind, **more)
    assert patched(client, place, 0, data).status_code == 204
    found: dict = client.get(place).json()
    return found


def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)


def checksum(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


def long_wave(seconds: int, rate: int = 48000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(os.urandom(rate * 2) * seconds)
    return file.getvalue()


@pytest.fixture
def song(media: Path) -> bytes:
    return (media / "song.wav").read_bytes()


# ---- the protocol


def test_the_public_client_sends_a_file_in_pieces_with_checksums(server: Running, media: Path) -> None:
    key = server.key()
    client = TusClient(f"{server.url}/v1/uploads", headers={"Authorization": f"Bearer {key}"})
    metadata = {"filename": "春 song.wav", "kind": "music"}
    with (media / "song.wav").open("rb") as file:
        uploader = client.uploader(file_stream=file, chunk_size=1000, metadata=metadata, upload_checksum=True)
        uploader.upload()
    upload = httpx.get(str(uploader.url), headers={"Authorization": f"Bearer {key}"}).json()
    assert (upload["status"], upload["name"], upload["kind"]) == ("ready", "春 song.wav", "music")
    assert upload["sha256"] == hashlib.sha256((media / "song.wav").read_bytes()).hexdigest()


def test_the_public_client_goes_on_where_it_stopped(server: Running, media: Path) -> None:
    headers = {"Authorization": f"Bearer {server.key()}"}
    client = TusClient(f"{server.url}/v1/uploads", headers=headers)
    with (media / "song.wav").open("rb") as file:
        first = client.uploader(file_stream=file, chunk_size=1500, metadata={"filename": "a.wav", "kind": "mix"})
        first.upload(stop_at=4000)
    with (media / "song.wav").open("rb") as file:
        second = client.uploader(file_stream=file, url=str(first.url), chunk_size=1500)
        assert second.offset == 4000
        second.upload()
    assert httpx.get(str(first.url), headers=headers).json()["status"] == "ready"


def test_the_public_client_is_told_of_a_key_that_may_not(server: Running, media: Path) -> None:
    client = TusClient(f"{server.url}/v1/uploads", headers={"Authorization": f"Bearer {server.key('viewer')}"})
    with (media / "song.wav").open("rb") as file, pytest.raises(TusCommunicationError) as raised:
        client.uploader(file_stream=file, metadata={"filename": "a.wav", "kind": "mix"}).upload()
    assert raised.value.status_code == 403


def test_what_is_offered_is_told_without_a_key(server: Running) -> None:
    answer = httpx.options(f"{server.url}/v1/uploads")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == answer.headers["Tus-Resumable"] == "1.0.0"
    assert "checksum" in answer.headers["Tus-Extension"].split(",")
    assert int(answer.headers["Tus-Max-Size"]) > 1 << 30


def test_another_version_is_refused(api: Api) -> None:
    client = api()
    place = place_of(client, 100)
    for headers in ({}, {"Tus-Resumable": "0.2.2"}):
        answer = client.head(place, headers=headers)
        assert answer.status_code == 412
        assert answer.headers["Tus-Version"] == "1.0.0"


def test_every_answer_says_the_version(api: Api) -> None:
    client = api()
    place = place_of(client, 100)
    for answer in (
        client.post("/v1/uploads", headers=TUS),
        patched(client, place, 7, b"x"),
        client.delete("/v1/uploads/" + "x" * 22, headers=TUS),
    ):
        assert answer.status_code in (404, 409, 422)
        assert answer.headers["Tus-Resumable"] == "1.0.0"
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_first_piece_may_come_with_the_announcement(api: Api, song: bytes) -> None:
    client = api()
    headers = {**PIECE, "Upload-Length": str(len(song)), "Upload-Metadata": said("song.wav", "music")}
    answer = client.post("/v1/uploads", headers=headers, content=song[:1000])
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "1000")
    assert patched(client, answer.headers["Location"], 1000, song[1000:]).status_code == 204
    assert client.get(answer.headers["Location"]).json()["status"] == "ready"


def test_a_piece_must_begin_where_the_last_ended(api: Api, song: bytes) -> None:
    client = api()
    place = place_of(client, len(song))
    assert patched(client, place, 0, song[:500]).headers["Upload-Offset"] == "500"
    for offset in (0, 499, 501, len(song), 10**15):
        assert patched(client, place, offset, song[500:600]).status_code == 409
    for offset in ("-1", "x", ""):
        answer = client.patch(place, headers={**PIECE, "Upload-Offset": offset}, content=b"x")
        assert answer.status_code == 422
    assert offset_of(client, place) == 500


def test_a_piece_of_another_type_is_refused(api: Api) -> None:
    client = api()
    place = place_of(client, 100)
    headers = {**TUS, "Upload-Offset": "0", "Content-Type": "application/octet-stream"}
    assert client.patch(place, headers=headers, content=b"x").status_code == 415


def test_what_was_dropped_is_gone_with_its_bytes(api: Api, server: Running, song: bytes) -> None:
    client = api()
    place = place_of(client, len(song))
    patched(client, place, 0, song[:500])
    assert client.delete(place, headers=TUS).status_code == 204
    assert client.head(place, headers=TUS).status_code == 404
    assert client.get(place).status_code == 404
    assert not list((server.house.settings.home_path / "incoming").iterdir())


def test_lists_are_ones_own_and_paged(api: Api) -> None:
    ada, bob, operator = api(), api(name="bob"), api("operator", "ops")
    places = [place_of(ada, 100) for _ in range(3)]
    place_of(bob, 100)
    page = ada.get("/v1/uploads", params={"limit": 2})
    assert [f"/v1/uploads/{item['id']}" for item in page.json()["items"]] == [places[2], places[1]]
    rest = ada.get("/v1/uploads", params={"limit": 2, "cursor": page.json()["next"]}).json()
    assert [f"/v1/uploads/{item['id']}" for item in rest["items"]] == [places[0]] and rest["next"] is None
    assert ada.get("/v1/uploads", params={"status": "ready"}).json()["items"] == []
    assert operator.get(places[0]).status_code == 200
    for answer in (
        bob.get(places[0]),
        bob.head(places[0], headers=TUS),
        bob.delete(places[0], headers=TUS),
        patched(bob, places[0], 0, b"x"),
        patched(operator, places[0], 0, b"x"),
    ):
        assert answer.status_code == 404
    assert offset_of(ada, places[0]) == 0


# ---- connections that break, are slow, or come twice


@contextlib.contextmanager
def by_hand(server: Running, key: str, place: str, offset: int, size: int) -> Iterator[socket.socket]:
    """A connection that has promised a piece of ``size`` bytes."""
    address = httpx.URL(server.url)
    with socket.create_connection((address.host, address.port), timeout=30) as connection:
        head = f"PATCH {place} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nTus-Resumable: 1.0.0\r\n"
        head += f"Content-Type: {tus.MEDIA_TYPE}\r\nUpload-Offset: {offset}\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode())
        yield connection


def on_disk(server: Running, place: str) -> int:
    path = pieces.folder(server.house.settings, place.rsplit("/", 1)[1]) / "song.wav"
    return path.stat().st_size


def test_what_came_before_the_connection_was_cut_is_kept(
    api: Api, server: Running, song: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tus, "BLOCK", 1)
    client = api()
    place = place_of(client, len(song), sha256=hashlib.sha256(song).hexdigest())
    with by_hand(server, server.key(), place, 0, len(song)) as connection:
        connection.sendall(song[:3000])
        until(lambda: on_disk(server, place) == 3000, "they are read")
    until(lambda: offset_of(client, place) == 3000, "the bytes of the cut piece are kept")
    until(lambda: patched(client, place, 3000, song[3000:]).status_code == 204, "the rest is taken")
    assert client.get(place).json()["status"] == "ready"


def test_a_cut_piece_with_a_checksum_is_not_kept(api: Api, server: Running, song: bytes) -> None:
    client = api()
    place = place_of(client, len(song))
    address = httpx.URL(server.url)
    with socket.create_connection((address.host, address.port)) as connection:
        head = f"PATCH {place} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.key()}\r\n"
        head += "Tus-Resumable: 1.0.0\r\n"
        head += f"Content-Type: {tus.MEDIA_TYPE}\r\nUpload-Offset: 0\r\nUpload-Checksum: {checksum(song)}\r\n"
        connection.sendall(f"{head}Content-Length: {len(song)}\r\n\r\n".encode() + song[:3000])
    until(lambda: patched(client, place, 0, song).status_code == 204, "the whole is taken after the cut piece")
    assert client.get(place).json()["status"] == "ready"


def test_of_two_pieces_at_once_one_wins(
    api: Api, server: Running, song: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tus, "BLOCK", 1)
    client = api()
    place = place_of(client, len(song))
    with by_hand(server, server.key(), place, 0, len(song)) as connection:
        connection.sendall(song[:100])
        until(lambda: on_disk(server, place) == 100, "the first has begun")
        second = patched(client, place, 0, song)
        assert (second.status_code, second.headers["Retry-After"]) == (423, "1")
        assert client.delete(place, headers=TUS).status_code == 423
        assert offset_of(client, place) == 0
        connection.sendall(song[100:])
        assert b" 204 " in connection.recv(4096).split(b"\r\n", 1)[0]
    assert client.get(place).json()["status"] == "ready"


def test_a_body_that_stops_coming_is_ended_and_what_came_is_kept(
    api: Api, server: Running, song: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tus, "PATIENCE", 0.3)
    client = api()
    place = place_of(client, len(song))
    with by_hand(server, server.key(), place, 0, len(song)) as connection:
        connection.sendall(song[:2000])
        assert b" 408 " in connection.recv(4096).split(b"\r\n", 1)[0]
    assert offset_of(client, place) == 2000


def test_a_damaged_piece_is_refused_whole(api: Api, song: bytes) -> None:
    client = api()
    place = place_of(client, len(song))
    for algorithm in ("sha1", "sha256"):
        answer = patched(client, place, 0, song[:999] + b"?", **{"Upload-Checksum": checksum(song[:1000], algorithm)})
        assert answer.status_code == 460, answer.text
        assert offset_of(client, place) == 0
    for bad in ("md5 AAAA", "sha256 ***", "sha256", ""):
        assert patched(client, place, 0, song[:1000], **{"Upload-Checksum": bad}).status_code == 400
    assert patched(client, place, 0, song, **{"Upload-Checksum": checksum(song)}).status_code == 204


def test_a_file_that_is_not_what_was_promised_is_refused(api: Api, song: bytes) -> None:
    upload = sent(api(), song, sha256=hashlib.sha256(b"another").hexdigest())
    assert upload["status"] == "refused"
    assert "damaged on its way" in upload["error"]


# ---- a server that is killed


@contextlib.contextmanager
def process(settings: Settings, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The API in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ORIMONO_")}
    environment |= {"ORIMONO_HOME": settings.home, "ORIMONO_DATABASE_URL": settings.database_url}
    environment |= {"ORIMONO_API_PORT": str(port), "PYTHONPATH": str(PROJECT)}
    started = subprocess.Popen(
        [sys.executable, "-m", "serving.cli", "serve"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/v1/uploads").status_code == 200
    except httpx.TransportError:
        return False


def test_an_upload_outlives_a_server_that_is_killed(settings: Settings, database: Database) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with database.session() as session:
        key = keys.make(session, "ada", "editor").key
    data = long_wave(400)  # 38 MB
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
        with process(settings, port) as first:
            until(lambda: answers(client), "the server answers")
            place = place_of(client, len(data), sha256=hashlib.sha256(data).hexdigest())
            with socket.create_connection(("127.0.0.1", port)) as connection:
                head = f"PATCH {place} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
                head += "Tus-Resumable: 1.0.0\r\n"
                head += f"Content-Type: {tus.MEDIA_TYPE}\r\nUpload-Offset: 0\r\nContent-Length: {len(data)}\r\n\r\n"
                connection.sendall(head.encode() + data[: 30 << 20])
                until(lambda: offset_of(client, place) >= 16 << 20, "a part of the piece is safe")
                os.killpg(first.pid, signal.SIGKILL)
                first.wait()
        with process(settings, port):
            until(lambda: answers(client), "the next server answers")
            offset = offset_of(client, place)
            assert 16 << 20 <= offset < len(data)
            assert patched(client, place, offset, data[offset:]).status_code == 204
            until(lambda: client.get(place).json()["status"] not in ("receiving", "checking"), "it is judged")
            assert client.get(place).json()["status"] == "ready"


def test_what_was_complete_when_the_server_died_is_judged_by_the_next(house: House, song: bytes, api: Api) -> None:
    row = receiving.announce(house.studio, "ada", name="song.wav", kind="music", size=len(song))
    with pieces.Piece(house.studio, row.id, 0) as piece:
        piece.write(song)
    client = api()
    assert client.get(f"/v1/uploads/{row.id}").json()["status"] in ("checking", "ready")
    until(lambda: client.get(f"/v1/uploads/{row.id}").json()["status"] == "ready", "it is judged")


def test_bytes_that_the_disk_has_lost_are_asked_for_again(api: Api, server: Running, song: bytes) -> None:
    client = api()
    place = place_of(client, len(song))
    patched(client, place, 0, song[:3000])
    upload = place.rsplit("/", 1)[1]
    os.truncate(pieces.folder(server.house.settings, upload) / "song.wav", 1000)
    assert patched(client, place, 3000, song[3000:]).status_code == 409
    assert offset_of(client, place) == 1000
    assert patched(client, place, 1000, song[1000:]).status_code == 204
    assert client.get(place).json()["status"] == "ready"


# ---- what may be sent


@pytest.mark.parametrize(
    ("size", "kind", "status"),
    [(0, "music", 422), (65 << 30, "music", 413), (2 << 20, "lyrics", 413), (17 << 20, "melody", 413)],
)
def test_sizes_that_cannot_be(api: Api, size: int, kind: str, status: int) -> None:
    assert announced(api(), size, "a.x", kind).status_code == status


@pytest.mark.parametrize("length", ["-1", "1e3", "", "9" * 30, "0x10"])
def test_lengths_that_are_none(api: Api, length: str) -> None:
    headers = {**TUS, "Upload-Length": length, "Upload-Metadata": said("a.wav", "music")}
    assert api().post("/v1/uploads", headers=headers).status_code in (413, 422)


def test_more_than_announced_is_refused(api: Api, server: Running, song: bytes) -> None:
    client = api()
    place = place_of(client, 1000)
    assert patched(client, place, 0, song[:1001]).status_code == 413
    assert patched(client, place, 0, iter([song[:900], song[900:1800]])).status_code == 413  # type: ignore[arg-type]
    assert offset_of(client, place) <= 1000
    upload = place.rsplit("/", 1)[1]
    assert (pieces.folder(server.house.settings, upload) / "song.wav").stat().st_size <= 1000


@pytest.mark.parametrize(
    "name",
    [
        "../song.wav",
        "../../../../etc/cron.d/x",
        "/etc/passwd",
        "a/b.wav",
        "..\\..\\x.wav",
        "C:\\x.wav",
        "C:x.wav",
        "..",
        ".",
        ".hidden",
        "",
        " ",
        "song.wav\0.txt",
        "a\nb.wav",
        "x" * 300,
        "字" * 100,
        "gpj\u202evaw.exe",
        "a\u2066b.wav",
        "a\u200eb.wav",
        "\ud7ff\u2028.wav",
        "job.yaml",
        "_COMPLETE",
    ],
)
def test_names_that_lead_elsewhere_or_deceive_are_refused(api: Api, server: Running, name: str) -> None:
    answer = announced(api(), 100, name)
    assert answer.status_code == 422, answer.headers
    assert "filename" in answer.json()["detail"]
    incoming = server.house.settings.home_path / "incoming"
    assert not incoming.exists() or not list(incoming.iterdir())


def test_names_of_people_are_taken(api: Api, song: bytes) -> None:
    client = api()
    for name in (
        "春の小川 (2).wav",
        "señor's mix & 'more'.wav",
        "🎵.wav",
        "a..b.wav",
        "<script>.wav",
        "$(rm -rf ~).wav",
    ):
        assert sent(client, song, name)["status"] == "ready"


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "filename",
        "filename ***",
        f"filename {base64.b64encode(b'a.wav').decode()}",
        "kind bXVzaWM=",
        ",,,",
        "a b c",
    ],
)
def test_metadata_that_says_too_little(api: Api, metadata: str) -> None:
    headers = {**TUS, "Upload-Length": "10", "Upload-Metadata": metadata}
    assert api().post("/v1/uploads", headers=headers).status_code == 422


def test_a_kind_that_is_none(api: Api) -> None:
    answer = announced(api(), 100, "a.exe", "program")
    assert answer.status_code == 422
    assert "music" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("noise.bin", "music", "no media file"),
        ("words.lrc", "music", "is a text file, not a media file"),
        ("clip.mp4", "music", "has no sound"),
        ("song.wav", "clip", "has no picture"),
        ("song.wav", "lyrics", "is not text"),
        ("song.wav", "melody", "song.mp3"),
        ("clip.mp4", "sheet", "song.mp3"),
        ("noise.bin", "videos", "song.mp3"),
    ],
)
def test_the_content_decides_and_not_the_name(api: Api, media: Path, name: str, kind: str, reason: str) -> None:
    upload = sent(api(), (media / name).read_bytes(), "song.mp3", kind)
    assert upload["status"] == "refused"
    assert reason in upload["error"] and upload["error"].startswith("song.mp3: ")


def test_a_refused_file_leaves_no_bytes(api: Api, server: Running, media: Path) -> None:
    sent(api(), (media / "noise.bin").read_bytes())
    assert not list((server.house.settings.home_path / "incoming").iterdir())


def test_a_form_may_bring_a_whole_file(house: House, song: bytes) -> None:
    caller = Caller(Actor("ada", "editor"), scopes_of("editor"), "key:test")
    upload = views.take_file(house, caller, io.BytesIO(song), name="a.wav", kind="mix", size=len(song))
    assert upload.status == "ready"
    assert views.list_uploads(house, caller).items == (upload,)


# ---- how much


def test_only_so_many_at_a_time(api: Api, server: Running) -> None:
    client, other = api(name="Ada"), api(name="ada ")
    for _ in range(receiving.MOST_RECEIVING):
        place = place_of(client, 100)
    for one in (client, other):  # one person, however their name is written
        answer = announced(one, 100)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "30")
    assert announced(api(name="bob"), 100).status_code == 201
    client.delete(place, headers=TUS)
    assert announced(client, 100).status_code == 201


def test_only_so_much_at_a_time(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "MOST_BYTES", 1000)
    client = api()
    place_of(client, 600)
    assert announced(client, 401).status_code == 429
    assert announced(client, 400).status_code == 201


def test_nothing_is_taken_when_the_store_or_the_disk_is_full(
    api: Api, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = api()
    with server.house.session() as session:
        session.add(StorageUse(used=96, budget=100, level=budget.NO_NEW_JOB, detail={}, at=clock.now()))
    answer = announced(client, 100)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "600")
    assert "object store: is full" in answer.json()["detail"]
    with server.house.session() as session:
        session.add(StorageUse(used=1, budget=100, level=0, detail={}, at=clock.now() + timedelta(seconds=1)))
    monkeypatch.setattr(receiving, "SPARE", 1 << 60)
    assert "the disk: has no room" in announced(client, 100).json()["detail"]


def test_abandoned_ones_are_dropped(api: Api, server: Running, song: bytes) -> None:
    client, studio = api(), server.house.studio
    old, new = place_of(client, len(song)), place_of(client, len(song))
    patched(client, old, 0, song[:100])
    assert receiving.drop_expired(studio) == 0
    upload = old.rsplit("/", 1)[1]
    with server.house.session() as session:
        row = pending_uploads.get(session, upload)
        assert row is not None
        row.expires_at = clock.now() - timedelta(seconds=1)
    stray = studio.settings.home_path / "incoming" / ("s" * 22)
    stray.mkdir()
    os.utime(stray, (0, 0))
    assert receiving.drop_expired(studio) == 1
    assert client.head(old, headers=TUS).status_code == 404
    assert offset_of(client, new) == 0
    assert not stray.exists() and not pieces.folder(studio.settings, upload).exists()


def test_bytes_are_for_nobody_else_on_the_machine(api: Api, server: Running) -> None:
    upload = place_of(api(), 100).rsplit("/", 1)[1]
    place = pieces.folder(server.house.settings, upload)
    for path, mode in ((place.parent, 0o700), (place, 0o700), (place / "song.wav", 0o600)):
        assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("upload", ["..", "../x", "%2e%2e%2f%2e%2e", "x", "a" * 23, "a" * 21 + "%0a"])
def test_ids_that_are_none(api: Api, upload: str) -> None:
    client = api()
    for method in ("GET", "HEAD", "PATCH", "DELETE"):
        headers = {**PIECE, "Upload-Offset": "0"}
        assert client.request(method, f"/v1/uploads/{upload}", headers=headers).status_code in (404, 405, 412, 422)
