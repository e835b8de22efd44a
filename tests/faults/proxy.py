"""A TCP proxy on loopback that can be cut, as a network is: what is open breaks off, what is new is refused or met with
silence."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Literal

Way = Literal["refusing", "silent"]


class Proxy:
    """Between a client and ``host:port``; a thread of its own. ``port``: where it listens."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._way: Way | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._carry, "127.0.0.1", 0, backlog=512))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def cut(self, way: Way) -> None:
        """``refusing``: every connection ends at once. ``silent``: they stay open, and nothing comes."""
        self._call(self._cut(way))

    def mend(self) -> None:
        self._call(self._mend())

    def close(self) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, coroutine):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _cut(self, way: Way) -> None:
        self._way = way
        if way == "refusing":
            self._drop()

    async def _mend(self) -> None:
        self._way = None
        self._drop()  # what waited in silence would wait for ever: a network that comes back has lost it, too

    async def _close(self) -> None:
        self._server.close()
        self._drop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _drop(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        beyond: asyncio.StreamWriter | None = None
        try:
            if self._way == "refusing":
                return
            answers, beyond = await asyncio.open_connection(*self._target)
            self._writers.add(beyond)
            await asyncio.gather(self._pump(reader, beyond), self._pump(answers, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in (writer, beyond):
                if one is not None:
                    self._writers.discard(one)
                    one.transport.abort()
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            while self._way == "silent":
                await asyncio.sleep(0.05)
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()
