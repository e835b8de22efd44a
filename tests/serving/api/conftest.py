"""What tests of the API stand on: a house over the test's database, and a real server (uvicorn on a socket of its own)
in a thread. Keys are real ones."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from pipelines.governance.people import Role
from pipelines.identity import keys
from pipelines.settings import Settings
from pipelines.storage.database import Database
from serving.api import server as serving
from serving.api.app import create_app
from serving.api.house import House

Api = Callable[..., httpx.Client]


@pytest.fixture
def settings(tmp_path: Path, migrated_database: Database) -> Settings:
    """A home in ``tmp_path`` over the test's database."""
    return Settings(
        home=str(tmp_path / "home"), settle_seconds="0.05", database_url=migrated_database.settings.database_url
    )


@pytest.fixture
def house(settings: Settings, database: Database) -> Iterator[House]:
    """For views without HTTP, too."""
    made = House(settings)
    yield made
    made.close()


@pytest.fixture
def app(settings: Settings, house: House) -> FastAPI:
    """For httpx.ASGITransport; ``server`` serves this one."""
    return create_app(settings, house)


@dataclass(frozen=True)
class Running:
    """A server that answers at ``url``."""

    url: str
    house: House
    server: serving.Server

    def key(self, role: Role = "editor", name: str = "ada", scopes: Iterable[str] | None = None) -> str:
        """A new key."""
        with self.house.session() as session:
            return keys.make(session, name, role, scopes=scopes).key

    def client(self, role: Role = "editor", name: str = "ada", scopes: Iterable[str] | None = None) -> httpx.Client:
        """Comes with a new key. To be closed."""
        headers = {"Authorization": f"Bearer {self.key(role, name, scopes)}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)


@contextlib.contextmanager
def running(settings: Settings, house: House, app: FastAPI | None = None) -> Iterator[Running]:
    """Serves on a free port of loopback until the end of the block."""
    listener = serving.listen("127.0.0.1", 0)
    server = serving.build(settings, house, app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server ended while it started"
        time.sleep(0.005)
    try:
        yield Running(f"http://127.0.0.1:{listener.getsockname()[1]}", house, server)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def server(settings: Settings, house: House, app: FastAPI) -> Iterator[Running]:
    """``.url``, ``.key(role, name)``, ``.client(role, name)``."""
    with running(settings, house, app) as found:
        yield found


@pytest.fixture
def api(server: Running) -> Iterator[Api]:
    """``api(role="editor", name="ada", scopes=None)``: an httpx.Client of the real server with a new key."""
    with contextlib.ExitStack() as stack:
        yield lambda *arguments, **more: stack.enter_context(server.client(*arguments, **more))
