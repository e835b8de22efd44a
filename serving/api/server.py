"""Runs the API as a server: uvicorn on loopback, with patience that has an end, and an exit that loses no request.

What surrounds a request is surroundings.py's; what starts this beside Dagster is serving/up.py.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from dataclasses import replace
from types import FrameType

import uvicorn
from fastapi import FastAPI

from pipelines.errors import BadInput, Unavailable
from pipelines.settings import Settings
from serving.api.app import create_app
from serving.api.house import House
from serving.api.protocol import MOST_CONNECTIONS, Patient
from serving.api.streams import Streams

NOTICE_SECONDS = 1.0  # between "not ready" and no new connections, so that whoever balances loads can see it
DRAIN_SECONDS = 17  # then requests in flight get so long; all together less than 20 s
KEEP_ALIVE_SECONDS = 75
BACKLOG = 2048
SWITCH_SECONDS = 0.0005  # a thread that makes a list lets the event loop in so often; Python's 5 ms cost a third
MOST_MESSAGE = 1 << 20  # bytes of a WebSocket message


class Server(uvicorn.Server):
    """Asked to stop, it says so at /health/ready, ends what would never end by itself, answers the rest, and exits
    with 0."""

    def __init__(self, config: uvicorn.Config, house: House) -> None:
        super().__init__(config)
        self._house = house
        self._closes_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins the drain, a second Ctrl-C ends it. None is raised again when all is done, as
        uvicorn would: to stop when told to is no failure."""
        if self._house.draining and sig == signal.SIGINT:
            self.should_exit = self.force_exit = True
        self._house.draining = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if self._house.draining:
            now = time.monotonic()
            if self._closes_at is None:
                self._closes_at = now + NOTICE_SECONDS
                self._house.one(Streams).end()
            self.should_exit = self.should_exit or now >= self._closes_at
        return await super().on_tick(counter)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any free one. BadInput when it cannot."""
    if not 0 <= port < 1 << 16:
        raise BadInput(f"port {port}", "is no port", "give one from 1 to 65535")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = f"cannot be listened on ({error.strerror})"
        raise BadInput(f"{host} port {port}", reason, "stop what uses it or set ORIMONO_API_PORT") from error


def build(settings: Settings, house: House | None = None, app: FastAPI | None = None) -> Server:
    """A server that is to be run over a socket of ``listen``'s; it closes its house at the end."""
    house = house or House(settings)
    config = uvicorn.Config(
        app or create_app(settings, house),
        http=Patient,
        loop="asyncio" if sys.platform == "win32" else "uvloop",
        ws="websockets-sansio",
        ws_max_size=MOST_MESSAGE,
        lifespan="on",
        log_config=None,  # logs.py has set them up, or a test has
        access_log=False,  # surroundings.py writes better ones
        server_header=False,
        proxy_headers=False,  # whoever connects could write them
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    return Server(config, house)


def serve(settings: Settings, port: int | None = None) -> int:
    """Runs until SIGTERM or Ctrl-C; returns the exit code."""
    from serving.api import logs

    if port is not None:
        settings = replace(settings, api_port=str(port))
    Patient.most = min(MOST_CONNECTIONS, _open_files() // 2)
    house = House(settings)
    with logs.to_stderr(settings):
        listener = listen(settings.api_host, settings.whole("api_port"))
        server = build(settings, house)
        sys.setswitchinterval(SWITCH_SECONDS)
        threading.Thread(target=_tell_first_key, args=(house,), daemon=True).start()
        print(f"API docs     {settings.api_address}/docs\nAdmin pages  {settings.api_address}/", flush=True)
        server.run(sockets=[listener])
    return 0


def _open_files() -> int:
    """How many this process may have, raised as far as it goes: each connection is one, and systems begin with 1024."""
    if sys.platform == "win32":
        return 2 * MOST_CONNECTIONS
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * MOST_CONNECTIONS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
    return more


def _tell_first_key(house: House) -> None:
    """As soon as the database is there; `orimono up` has told it before."""
    from pipelines.identity import keys
    from serving.up import first_key_told

    while not house.draining:
        try:
            key = keys.first(house.studio)
        except Unavailable:
            time.sleep(1)
            continue
        if key is not None:
            print(first_key_told(key), flush=True)
        return
