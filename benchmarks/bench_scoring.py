"""How fast, how sparing and how small scoring is beside a rate-limited model: ours, a semaphore, and the openai SDK.

Each run is a process of its own that scores 10,000 rows, 4 categories, against a server of 50 ms in another process.
``--million`` scores 1,000,000 rows of CSV, which takes a while, and adds what that takes to the results.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.measure import RESULTS, Figure, write
from tests.scoring.llm_server import Behaviour, Remote, spawn

ROWS = 10_000
CATEGORIES = "joy,anger,sadness,surprise"
RATE, SLOTS, LATENCY = 500.0, 64, 0.05
LIMITED = Behaviour(latency=LATENCY, rate=RATE, burst=50, slots=SLOTS, retry_after="ms")
STORMS = ((4.0, 7.0), (12.0, 15.0))
STORMY = replace(LIMITED, windows=STORMS, unavailable=0.01, cut=0.01)
WORDS = [
    "river",
    "night",
    "paper",
    "song",
    "window",
    "light",
    "stone",
    "garden",
    "winter",
    "letter",
    "machine",
    "colour",
]


def sheet(path: Path, rows: int) -> Path:
    """Sentences of 5 to 25 words, none twice."""
    chance = random.Random(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(("id", "utterance"))
        for number in range(rows):
            out.writerow((number, f"{number}: {' '.join(chance.choices(WORDS, k=chance.randint(5, 25)))}"))
    return path


# -- in a process of its own


class Pulse:
    """The longest time that an event loop did not come round, beside what is measured."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def beat(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            self.longest = max(self.longest, time.perf_counter() - before - 0.005)


def ours(asked: dict[str, Any]) -> dict[str, float]:
    from pipelines.scoring import jobs, providers
    from pipelines.scoring.openai_chat import OpenAIChat
    from pipelines.scoring.rubric import Rubric
    from pipelines.settings import Settings
    from pipelines.studio import Studio

    pulse = Pulse()
    if asked.get("pulse"):
        enter = OpenAIChat.__aenter__

        async def beating(self: OpenAIChat) -> OpenAIChat:
            entered = await enter(self)  # what it imports is no stall: nothing is under way yet
            self.pulse = asyncio.ensure_future(pulse.beat())  # type: ignore[attr-defined]
            return entered

        leave = OpenAIChat.__aexit__

        async def ending(self: OpenAIChat, *error: Any) -> None:
            self.pulse.cancel()  # type: ignore[attr-defined]
            await leave(self, *error)

        OpenAIChat.__aenter__, OpenAIChat.__aexit__ = beating, ending  # type: ignore[method-assign, assignment]
    settings = Settings(home=asked["home"], database_url=asked["database"], score_cache_entries="10000")
    studio = Studio.open(settings)
    assert providers.NAMES
    asking = jobs.Asking("openai", base_url=asked["url"])
    wish = jobs.Wish(asked["sheet"], Rubric.parse(CATEGORIES), asking, Path(asked["out"]), asked.get("most"))
    usage, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    if asked.get("profile"):
        import cProfile

        threading.setprofile(None)
        profile = cProfile.Profile()
        from pipelines.scoring import pipeline

        main = pipeline._Runner._main

        def profiled(self: Any) -> None:
            profile.runcall(main, self)

        pipeline._Runner._main = profiled  # type: ignore[method-assign]
        report = jobs.score(studio, wish)
        profile.dump_stats(asked["profile"])
    else:
        report = jobs.score(studio, wish)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    assert report.written.rows == asked["rows"], report
    return {
        "seconds": seconds,
        "cpu": cpu,
        "whole_cpu": after.ru_utime + after.ru_stime,
        "asking": report.tally.requests,
        "hits": report.tally.cache_hits,
        "stall": pulse.longest,
    }


def texts(asked: dict[str, Any]) -> list[str]:
    with Path(asked["sheet"]).open(newline="", encoding="utf-8") as file:
        return [row["utterance"] for row in csv.DictReader(file)]


def semaphore(asked: dict[str, Any]) -> dict[str, float]:
    """What is usually written: 64 at once, and again after what Retry-After says."""
    import aiohttp

    async def main() -> None:
        gate = asyncio.Semaphore(SLOTS)
        async with aiohttp.ClientSession() as session:

            async def one(text: str) -> None:
                message = {"role": "user", "content": f"{text}\n{CATEGORIES}"}
                body = {"model": "m", "messages": [{"role": "system", "content": "Score."}, message]}
                tries = 0
                while True:
                    async with gate, session.post(f"{asked['url']}/chat/completions", json=body) as reply:
                        try:
                            if reply.status == 200:
                                json.loads((await reply.json())["choices"][0]["message"]["content"])
                                return
                        except ValueError:
                            pass
                        wait = reply.headers.get("retry-after-ms")
                    tries += 1
                    await asyncio.sleep(float(wait) / 1000 if wait else min(2.0, 0.05 * 2**tries))

            await asyncio.gather(*(one(text) for text in texts(asked)))

    return measured(main)


def sdk(asked: dict[str, Any]) -> dict[str, float]:
    """The openai SDK as its readme shows it, 64 at once, with more retries than it has by itself."""
    import openai

    async def main() -> None:
        gate = asyncio.Semaphore(SLOTS)
        async with openai.AsyncOpenAI(base_url=asked["url"], api_key="none", max_retries=10) as client:

            async def one(text: str) -> None:
                message = {"role": "user", "content": f"{text}\n{CATEGORIES}"}
                while True:
                    try:
                        async with gate:
                            reply = await client.chat.completions.create(model="m", messages=[message])  # type: ignore
                        json.loads(reply.choices[0].message.content or "")
                        return
                    except (openai.APIError, ValueError):
                        continue

            await asyncio.gather(*(one(text) for text in texts(asked)))

    return measured(main)


def measured(main: Any) -> dict[str, float]:
    usage, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    asyncio.run(main())
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    return {"seconds": time.perf_counter() - began, "cpu": cpu}


def peak_mb() -> float:
    """VmHWM, which an exec resets."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


# -- beside it


def child(who: str, asked: dict[str, Any]) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.bench_scoring", "--child", who, json.dumps(asked)]
    # As installed: with compiled modules beside their sources.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def place() -> Iterator[dict[str, Any]]:
    """A home with a database of its own, and a sheet."""
    from pipelines.settings import Settings
    from pipelines.storage import embedded
    from pipelines.storage.database import Database

    with tempfile.TemporaryDirectory(prefix="orimono-bench-") as home:
        path = Path(home)
        try:
            url = embedded.start(path).replace("/postgres?", "/orimono?")
            database = Database(Settings(home=home, database_url=url))
            database.migrate()
            database.dispose()
            out = str(path / "scored.csv")
            yield {"home": home, "database": url, "sheet": str(sheet(path / "s.csv", ROWS)), "out": out, "rows": ROWS}
        finally:
            embedded.stop(path, force=True)


def against(server: Remote, who: str, asked: dict[str, Any]) -> dict[str, float]:
    """One contender; ``requests`` and ``wasted`` (share) as the server saw them."""
    server.restart()
    found = child(who, asked | {"url": server.url})
    seen, _ = server.state()
    found["requests"] = seen.total
    found["wasted"] = (seen.total - ROWS) / ROWS
    return found


def run() -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    ideal = ROWS / RATE
    with place() as at, spawn(LIMITED) as server:
        mine = against(server, "ours", at)
        figures["ceiling"] = Figure(ideal / mine["seconds"], "ratio", at_least=0.9)
        figures["wasted"] = Figure(mine["wasted"], "ratio", at_most=0.02)
        figures["cpu_a_row"] = Figure(mine["cpu"] / ROWS * 1e3, "ms", at_most=0.4)
        figures["cpu_a_row_whole_process"] = Figure(mine["whole_cpu"] / ROWS * 1e3, "ms")
        figures["peak_rss"] = Figure(mine["rss"], "MB", at_most=120)
        again = against(server, "ours", at)
        figures["cached_requests"] = Figure(again["requests"], "requests", at_most=0)
        figures["cached_seconds"] = Figure(again["seconds"], "s", at_most=5)
    with place() as at, spawn(LIMITED) as server:
        stall = against(server, "ours", at | {"pulse": True})["stall"]
        figures["longest_stall"] = Figure(stall * 1e3, "ms", at_most=50)
    for who in ("semaphore", "sdk"):
        with place() as at, spawn(LIMITED) as server:
            theirs = against(server, who, at)
            figures[f"{who}_ceiling"] = Figure(ideal / theirs["seconds"], "ratio")
            figures[f"{who}_wasted"] = Figure(theirs["wasted"], "ratio")
            figures[f"{who}_cpu_a_row"] = Figure(theirs["cpu"] / ROWS * 1e3, "ms")
            figures[f"{who}_peak_rss"] = Figure(theirs["rss"], "MB")
    windows = sum(end - begin for begin, end in STORMS)
    for who in ("ours", "semaphore"):
        with place() as at, spawn(STORMY) as server:
            stormy = against(server, who, at)
            goal = {"at_least": 0.8} if who == "ours" else {}
            figures[f"storms_{who}_left"] = Figure(ideal / (stormy["seconds"] - windows), "ratio", **goal)
            goal = {"at_most": 0.05} if who == "ours" else {}
            figures[f"storms_{who}_wasted"] = Figure(stormy["wasted"], "ratio", **goal)
    return figures


def million() -> dict[str, Figure]:
    """RSS at 100,000 and at 1,000,000 rows, answers at once, nothing limited."""
    figures = {}
    for rows in (100_000, 1_000_000):
        with place() as at, spawn(Behaviour()) as server:
            asked = at | {"sheet": str(sheet(Path(at["home"]) / "long.csv", rows)), "rows": rows}
            found = child("ours", asked | {"url": server.url})
            figures[f"rss_{rows}_rows"] = Figure(found["rss"], "MB", at_most=200)
            figures[f"seconds_{rows}_rows"] = Figure(found["seconds"], "s")
    return figures


def written() -> dict[str, Figure]:
    """The figures of the last time."""
    path = RESULTS / "scoring.json"
    found = json.loads(path.read_text())["figures"] if path.exists() else {}
    return {name: Figure(**{k: v for k, v in figure.items() if k != "met"}) for name, figure in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", action="store_true", help="1,000,000 rows, too")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        who, asked = given.child[0], json.loads(given.child[1])
        found = {"ours": ours, "semaphore": semaphore, "sdk": sdk}[who](asked)
        print(json.dumps(found | {"rss": peak_mb()}), flush=True)
        os._exit(0)
    if given.million:
        write("scoring", written() | million())
        return
    figures = run()
    print(json.dumps({name: asdict(figure) for name, figure in figures.items()}, indent=2))
    write("scoring", figures | {name: figure for name, figure in written().items() if name.endswith("_rows")})


if __name__ == "__main__":
    main()
