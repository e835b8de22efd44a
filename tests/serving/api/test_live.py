"""Live sessions over real WebSockets: who may play, what comes back, limits, many players, a server that stops."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from pipelines.composing.live import Accompanist
from serving.api import playing
from serving.wire import live as wire
from tests.serving.api.conftest import Api, Running


@contextlib.asynccontextmanager
async def session(server: Running, token: str | None, **start: Any) -> AsyncIterator[ClientConnection]:
    """One that has said how it wants to play."""
    async with connect(address(server), subprotocols=[wire.SUBPROTOCOL]) as socket:  # type: ignore[list-item]
        await say(socket, type="start", token=token, **start)
        yield socket


def address(server: Running) -> str:
    return server.url.replace("http", "ws") + "/v1/live"


async def say(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def hear(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(60):
        found: dict[str, Any] = json.loads(await socket.recv())
    wire.TOLD.validate_python(found)  # as documented
    return found


async def closed(socket: ClientConnection) -> tuple[int, list[dict[str, Any]]]:
    """The code that it is closed with, and what was said before."""
    said = []
    try:
        while True:
            said.append(await hear(socket))
    except websockets.ConnectionClosed as end:
        assert end.rcvd is not None
        return end.rcvd.code, said


async def play(socket: ClientConnection, beats: int) -> list[dict[str, Any]]:
    answers = []
    for beat in range(beats):
        await say(socket, type="note_on", beat=beat, pitch=60 + beat % 12)
        await say(socket, type="advance", beat=beat)
        answers.append(await hear(socket))
        await say(socket, type="note_off", beat=beat + 0.9, pitch=60 + beat % 12)
    return answers


def expected(beats: int, **wishes: Any) -> list[dict[str, Any]]:
    """What the accompanist itself commits."""
    player, found = Accompanist(**wishes), []
    for beat in range(beats):
        player.note_on(beat, 60 + beat % 12)
        commit = player.advance(beat)
        assert commit is not None
        events = [{"tick": e.tick, "velocity": e.velocity, "role": e.role, "pitch": e.pitch} for e in commit.events]
        found.append({"beat": commit.beat, "events": events, "key": commit.key.name})
        player.note_off(beat + 0.9, 60 + beat % 12)
    return found


@pytest.mark.parametrize("style", ["pop", "chorale"])
def test_what_is_played_is_what_the_accompanist_commits(style: str, server: Running) -> None:
    async def run() -> None:
        async with session(server, server.key(), style=style, tempo=90, metre=[3, 4], seed=7) as socket:
            ready = await hear(socket)
            assert (ready["type"], ready["beats_per_bar"], ready["ticks_per_beat"]) == ("ready", 3, 480)
            answers = await play(socket, 12)
            wanted = expected(12, style=style, tempo=90, metre=(3, 4), seed=7)
            assert [{name: one[name] for name in wanted[0]} for one in answers] == wanted
            await say(socket, type="advance", beat=3)
            assert (await hear(socket))["type"] == "silent"  # decided long ago
            await say(socket, type="stop")
            assert await closed(socket) == (1000, [])

    asyncio.run(run())


def test_a_key_comes_by_header_subprotocol_or_message(server: Running) -> None:
    async def run() -> None:
        key = server.key()
        ways: list[dict[str, Any]] = [
            {"additional_headers": {"Authorization": f"Bearer {key}"}},
            {"subprotocols": [wire.SUBPROTOCOL, wire.BEARER + key]},
        ]
        for way in ways:
            async with connect(address(server), **way) as socket:
                assert socket.subprotocol in (None, wire.SUBPROTOCOL)  # the key is never given back
                await say(socket, type="start")
                assert (await hear(socket))["type"] == "ready"
        async with session(server, key) as socket:
            assert (await hear(socket))["type"] == "ready"

    asyncio.run(run())


def test_who_may_not_play(server: Running) -> None:
    async def run() -> None:
        stranger = "orm_00000000_" + "a" * 43
        for key, status in ((stranger, 401), (server.key("viewer"), 403)):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await connect(address(server), additional_headers={"Authorization": f"Bearer {key}"})
            assert refused.value.response.status_code == status
            assert json.loads(bytes(refused.value.response.body or b""))["status"] == status
        for token, status in ((None, 401), (stranger, 401), (server.key("viewer"), 403)):
            async with session(server, token) as socket:
                code, said = await closed(socket)
                assert (code, said[-1]["problem"]["status"]) == (1008, status)
        with pytest.raises(websockets.InvalidStatus) as refused:  # a page of somebody else's, with a good key
            await connect(
                address(server),
                origin="https://example.org",  # type: ignore[arg-type]
                additional_headers={"Authorization": f"Bearer {server.key()}"},
            )
        assert refused.value.response.status_code == 403
        async with connect(address(server), origin=server.url) as socket:  # type: ignore[arg-type]
            await say(socket, type="start", token=server.key())
            assert (await hear(socket))["type"] == "ready"

    asyncio.run(run())


WRONG: dict[str, tuple[Any, int]] = {
    "no JSON": ("{", 1007),
    "no object": ("[1]", 1007),
    "of no known type": ('{"type": "dance"}', 1007),
    "no text": (b"\0\1", 1003),
    "too long": (json.dumps({"type": "note_on", "beat": 0, "pitch": 60, "x": "a" * wire.LONGEST_MESSAGE}), 1009),
}


def test_what_no_player_sends_ends_the_session(server: Running) -> None:
    async def run() -> None:
        for what, (message, code) in WRONG.items():
            async with session(server, server.key()) as socket:
                await hear(socket)
                await socket.send(message)
                found, said = await closed(socket)
                assert (found, said[-1]["type"]) == (code, "problem"), what
        for start in ({"metre": [4, 3]}, {"style": "jazz"}, {"key": "H sharp"}, {"groove": "none such"}):
            async with session(server, server.key(), **start) as socket:
                code, said = await closed(socket)
                assert (code, said[-1]["problem"]["status"]) == (1007, 422), start
        async with connect(address(server)) as socket:
            await say(socket, type="advance", beat=0)
            assert (await closed(socket))[0] == 1007

    asyncio.run(run())


def test_a_wrong_note_is_told_and_the_music_goes_on(server: Running) -> None:
    async def run() -> None:
        async with session(server, server.key(), key="C major") as socket:
            await hear(socket)
            for note in ({"pitch": 128}, {"pitch": 60, "velocity": 200}, {"pitch": "c"}, {"beat": "now", "pitch": 60}):
                await say(socket, **({"type": "note_on", "beat": 0} | note))
                told = await hear(socket)
                assert (told["type"], told["problem"]["status"]) == ("problem", 422)
            assert [one["beat"] for one in await play(socket, 3)] == [1, 2, 3]

    asyncio.run(run())


def test_messages_that_come_too_fast_end_the_session(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playing, "BURST", 20)
    monkeypatch.setattr(wire, "MESSAGES_PER_SECOND", 1)

    async def run() -> None:
        async with session(server, server.key()) as socket:
            await hear(socket)
            with contextlib.suppress(websockets.ConnectionClosed):
                for _ in range(100):
                    await say(socket, type="note_on", beat=0, pitch=60)
            code, said = await closed(socket)
            assert (code, said[-1]["problem"]["status"]) == (1008, 429)

    asyncio.run(run())


def test_many_play_at_once_each_their_own_and_no_more_than_there_is_room(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playing, "MOST_PLAYERS", 10)

    async def one(key: str, seed: int) -> None:
        async with session(server, key, seed=seed) as socket:
            await hear(socket)
            answers = await play(socket, 8)
            wanted = expected(8, seed=seed)
            assert [one["events"] for one in answers] == [one["events"] for one in wanted]
            ready.release()
            await leave.wait()

    ready, leave = asyncio.Semaphore(0), asyncio.Event()

    async def run() -> None:
        keys = [server.key(name=name) for name in ("ada", "bob")]
        async with asyncio.TaskGroup() as players:
            for seed in range(10):
                players.create_task(one(keys[seed % 2], seed))
            for _ in range(10):
                await ready.acquire()
            async with session(server, server.key(name="cyd")) as socket:
                code, said = await closed(socket)
            assert (code, said[-1]["problem"]["retry_after"]) == (1013, 30)
            leave.set()
        async with session(server, keys[0]) as socket:  # their places are free again
            assert (await hear(socket))["type"] == "ready"

    asyncio.run(run())


def test_one_key_does_not_take_all_places(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playing, "MOST_OF_ONE", 2)

    async def run() -> None:
        key = server.key()
        async with session(server, key) as first, session(server, key) as second:
            await hear(first)
            await hear(second)
            async with session(server, key) as third:
                code, said = await closed(third)
            assert (code, said[-1]["problem"]["status"]) == (1013, 429)

    asyncio.run(run())


def test_a_server_that_stops_says_so(server: Running) -> None:
    async def run() -> None:
        async with session(server, server.key()) as socket:
            await hear(socket)
            await play(socket, 2)
            server.house.draining = True
            code, said = await closed(socket)
            assert code == 1012
            assert said[-1]["problem"]["status"] == 503 and said[-1]["problem"]["retry_after"] > 0

    asyncio.run(run())


def test_the_protocol_is_told(api: Api) -> None:
    found = api().get("/v1/live").json()
    assert found["subprotocol"] == wire.SUBPROTOCOL
    assert set(found["played"]["$defs"]) >= {"Start", "NoteOn", "NoteOff", "Advance", "Stop"}
    assert set(found["closes"]) >= {"1000", "1008", "1012", "1013"}
