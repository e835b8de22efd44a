"""A process that asks a server for what it may not have, as fast as it can: ``python flood.py PORT KEY SECONDS``.

It tells how often it asked and how often it was answered with which status. The standard library alone: it starts fast.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter

CONNECTIONS = 150
AT_ONCE = 20  # requests that are sent before an answer is read
STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")


async def flood(port: int, ask: bytes, ends: float, found: Counter[str]) -> None:
    while time.monotonic() < ends:
        said = b""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            found["asked"] += AT_ONCE
            writer.write(ask * AT_ONCE)
            while said.count(b"HTTP/1.1 ") < AT_ONCE and (data := await reader.read(1 << 16)):
                said += data
            writer.close()
        except OSError:
            found["cut"] += 1
        found.update(status.decode() for status in STATUS.findall(said))


async def main(port: int, key: str, seconds: float) -> None:
    ask = f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    found: Counter[str] = Counter()
    ends = time.monotonic() + seconds
    await asyncio.gather(*(flood(port, ask, ends, found) for _ in range(CONNECTIONS)))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
