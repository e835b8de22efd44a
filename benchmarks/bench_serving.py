"""The API over loopback: models and lists asked from another process, versions exchanged and PostgreSQL restarted under
load, and the memory of the server over 100,000 requests.

The server is the product's own, in a process of its own; so are the load generator (load.py) and PostgreSQL, all on the
same cores. The catalogue is made up (made_up_studio.py), the models are of mastering's size (bench_inference.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmarks import bench_inference, load, made_up_studio
from benchmarks.load import Load, Told
from benchmarks.measure import Figure, cpu_seconds, write
from pipelines import clock
from pipelines.identity import keys
from pipelines.mastering.training_set import FEATURE_VERSION
from pipelines.models import rollout
from pipelines.settings import Settings
from pipelines.storage import embedded
from pipelines.studio import Studio
from serving.api.house import House
from serving.api.surroundings import Surroundings

VIDEOS = 32_304
SECONDS = 15.0
MANY = 100_000
CHILD = (
    "import sys; from pipelines.settings import Settings; from serving.api.server import serve;"
    "sys.exit(serve(Settings(home=sys.argv[1], database_url=sys.argv[2], api_requests_per_second='1000000'),"
    " int(sys.argv[3])))"
)
NOTE = "server, load generator and PostgreSQL share the cores"


class Server:
    """The product's server over this home."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, key: str) -> None:
        self.process = process
        self.port = port
        self.key = key
        self.start_s = 0.0

    def put(self, requests: list[tuple[str, str, str]], seconds: float, **more: object) -> load.Load:
        return Load("127.0.0.1", self.port, self.key, requests, seconds, **more)  # type: ignore[arg-type]

    @property
    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


@contextlib.contextmanager
def serving(settings: Settings, key: str) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", CHILD, str(settings.home), settings.database_url, str(port)]
    began = time.perf_counter()
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        server = Server(process, port, key)
        try:
            while not alive(port):
                time.sleep(0.02)
            server.start_s = time.perf_counter() - began
            for requests in (predictions(1), lists(1)):  # until all is loaded
                deadline = time.monotonic() + 120
                while time.monotonic() < deadline:
                    told = load.put(server.put(requests, 1.0, connections=1))
                    if set(told.statuses) == {"200"} and "popular" not in told.values:
                        break
            yield server
        finally:
            process.send_signal(signal.SIGTERM)


def alive(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def started(server: Server) -> dict[str, Figure]:
    """Until the first answer; and what is in the process when models and lists are served."""
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    held = sum("tensorflow" in line for line in maps.splitlines())
    return {
        "start": Figure(server.start_s, "s", at_most=3, note="from nothing to the first answer"),
        "tensorflow": Figure(held, "files", at_most=0, note="of it that are mapped while models and lists are served"),
    }


def surrounded(n: int = 5000) -> dict[str, Figure]:
    """What the middleware adds to an application that does nothing."""
    body = b"{}"
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/models/x/predict",
        "client": ("127.0.0.1", 1),
        "query_string": b"",
    }
    headers = [(b"host", b"localhost"), (b"authorization", b"Bearer x"), (b"content-length", b"2")]

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        return None

    async def nothing(_: Scope, read: Receive, answer: Send) -> None:
        await read()
        await answer({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await answer({"type": "http.response.body", "body": body})

    house = House(Settings(api_requests_per_second="1000000"))
    surroundings = Surroundings(nothing, house)

    def asked(app: ASGIApp) -> Callable[[], object]:
        async def ask() -> None:
            for _ in range(n):
                await app({**scope, "headers": headers}, receive, send)

        return lambda: asyncio.run(ask())

    taken = [cpu_seconds(asked(surroundings)) - cpu_seconds(asked(nothing)) for _ in range(5)]
    house.close()
    return {"middleware": Figure(min(taken) / n * 1e6, "µs", note="processor time of one request, the best of five")}


def predictions(n: int = 200) -> list[tuple[str, str, str]]:
    rng = random.Random(1)
    rows = [[rng.gauss(0, 1) for _ in range(bench_inference.D)] for _ in range(n)]
    return [
        ("POST", "/v1/models/master_reg/predict", json.dumps({"features": row, "user": f"user-{i}"}))
        for i, row in enumerate(rows)
    ]


def lists(n: int = made_up_studio.VIEWERS) -> list[tuple[str, str, str]]:
    people = made_up_studio.ids_of(made_up_studio.VIEWERS, "viewer")[:n]
    return [("GET", f"/v1/recommendations/{one}", "") for one in people]


def at_full_speed(server: Server, name: str, requests: list[tuple[str, str, str]], least: float) -> dict[str, Figure]:
    cpu = server.cpu_s
    told = load.put(server.put(requests, SECONDS, connections=16))
    assert set(told.statuses) == {"200"} and not told.lost, (told.statuses, told.lost)
    used = (server.cpu_s - cpu) / told.answered * 1e3
    return {
        f"{name}_rate": Figure(told.rate, "requests/s", at_least=least, note=f"16 connections; {NOTE}"),
        f"{name}_cpu": Figure(used, "ms", note="processor time of the server for one request"),
    }


def at_a_rate(
    server: Server, name: str, requests: list[tuple[str, str, str]], rate: float, most: float
) -> dict[str, Figure]:
    told = load.put(server.put(requests, SECONDS, connections=32, rate=rate))
    assert set(told.statuses) == {"200"} and not told.lost, (told.statuses, told.lost)
    note = f"at {rate:g} a second, from the moment at which each was due; {NOTE}"
    return {
        f"{name}_p50": Figure(told.quantile(0.5), "ms", note=note),
        f"{name}_p99": Figure(told.quantile(0.99), "ms", at_most=most, note=note),
    }


def exchanged(server: Server, studio: Studio, forest: object) -> dict[str, Figure]:
    """Five candidates are registered, rolled out and made live while models are asked."""
    models = [bench_inference.another(forest, number) for number in range(5)]

    def exchange() -> None:
        for model in models:
            bench_inference.released(studio, model, 25)
            with studio.database.session() as session:
                current = rollout.current(session, "master_reg")
                rollout.promote(session, "master_reg", current, clock.now(), "bench", "a bench")
            time.sleep(3)

    told = load.put(server.put(predictions(), 20.0, connections=16, rate=500), exchange)
    note = f"{told.answered} answers of {len(told.values)} versions while five were exchanged"
    return {"swap_lost": lost(told, note), "swap_p99": Figure(told.quantile(0.99), "ms", note=note)}


def lost(told: Told, note: str) -> Figure:
    """Connections that ended, answers that are neither 200 nor 503, and 503 that do not say when to come back."""
    others = sum(n for status, n in told.statuses.items() if status not in ("200", "503"))
    return Figure(told.lost + others + told.without_retry_after, "requests", at_most=0, note=note)


def restarted(server: Server, home: Path) -> dict[str, Figure]:
    figures = {}
    for name, requests, rate in (("predict", predictions(), 500.0), ("recommend", lists(), 50.0)):

        def restart() -> None:
            time.sleep(3)
            embedded.stop(home, force=True)
            time.sleep(3)
            embedded.start(home)

        told = load.put(server.put(requests, 20.0, connections=16, rate=rate), restart)
        note = f"{told.statuses}, {told.values}"
        figures[f"restart_{name}_lost"] = lost(told, note)
        refused = told.statuses.get("503", 0)
        figures[f"restart_{name}_refused"] = Figure(refused, "requests", note="503 with Retry-After")
    return figures


def remembered(server: Server) -> dict[str, Figure]:
    requests = predictions()
    load.put(server.put(requests, 300.0, connections=16, most=20_000))
    before = server.memory_mb
    load.put(server.put(requests, 300.0, connections=16, most=MANY))
    grown = server.memory_mb - before
    note = f"from {before:.0f} MB, over {MANY} requests after 20,000 others"
    return {"memory_growth": Figure(grown, "MB", at_most=10, note=note)}


def run() -> dict[str, Figure]:
    bench_inference.FEATURES = FEATURE_VERSION
    linear, forest = bench_inference.learned("linear"), bench_inference.learned("lightgbm")
    figures: dict[str, Figure] = {"load_average": Figure(os.getloadavg()[0], "processes", note="before")}
    figures |= surrounded()
    with tempfile.TemporaryDirectory(prefix="orimono-bench-") as folder:
        home = Path(folder)
        url = embedded.start(home).replace("/postgres?", "/orimono?")
        settings = Settings(home=folder, database_url=url)
        studio = Studio.open(settings)
        try:
            bench_inference.released(studio, linear, 100)
            made_up_studio.filled(studio, VIDEOS)
            with studio.database.session() as session:
                key = keys.make(session, "bench", "administrator").key
            with serving(settings, key) as server:
                figures |= started(server)
                figures |= at_full_speed(server, "predict", predictions(), 1500)
                figures |= at_a_rate(server, "predict", predictions(), 1500, 30)
                figures |= at_full_speed(server, "recommend", lists(), 300)
                figures |= at_a_rate(server, "recommend", lists(), 300, 50)
                figures |= exchanged(server, studio, forest)
                figures |= restarted(server, home)
                figures |= remembered(server)
        finally:
            studio.database.dispose()
            embedded.stop(home, force=True)
    return figures


if __name__ == "__main__":
    results = run()
    results["load_average_after"] = Figure(os.getloadavg()[0], "processes", note="the bench's own included")
    for name, figure in results.items():
        print(f"{name}: {figure.value:.3f} {figure.unit}  {'' if figure.met else 'NOT MET'}", file=sys.stderr)
    write("serving", results)
