"""`orimono up`: three addresses that work, the first key once, and parts that are started again when they are
killed, the database among them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psutil
import pytest

from pipelines.errors import BadInput
from pipelines.settings import Settings
from pipelines.storage.keeper import postmaster
from serving import up
from serving.api.server import listen
from tests.dags.house import ORIMONO, House, free_ports, lives_in, opened

pytestmark = [pytest.mark.xdist_group("daemon"), pytest.mark.timeout(420)]


def test_the_greeting_names_what_there_is() -> None:
    settings = Settings(home="/tmp/x", port="4000", api_port="4001")
    lines = up.greeting(settings, None).splitlines()
    assert lines[:3] == [
        "Dagster UI   http://127.0.0.1:4000",
        "API docs     http://127.0.0.1:4001/docs",
        "Admin pages  http://127.0.0.1:4001/",
    ]
    assert "First key" not in up.greeting(settings, None)
    assert "First key    orm_1" in up.greeting(settings, "orm_1")


def test_ports_that_cannot_be_used_are_told_before_anything_starts(settings: Settings) -> None:
    free, other = free_ports(2)
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match="ORIMONO_API_PORT"):
            up.up(settings, free, port)
        with pytest.raises(BadInput, match="ORIMONO_PORT"):
            up.up(settings, port, other)
    with pytest.raises(BadInput, match="given twice"):
        up.up(settings, free, free)
    assert not settings.home_path.exists()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with opened(tmp_path_factory.mktemp("house")) as found:
        until(lambda: ready(found), found)
        yield found


def test_all_three_addresses_work_and_the_first_key_opens_them(house: House) -> None:
    addresses = re.findall(r"^(?:Dagster UI|API docs|Admin pages) +(\S+)$", house.log(), re.MULTILINE)
    assert len(addresses) == 3
    for address in addresses:
        assert httpx.get(address, follow_redirects=True, timeout=30).status_code == 200, address
    (key,) = re.findall(r"First key +(orm_\S+)", house.log())
    headers = {"Authorization": f"Bearer {key}"}
    assert httpx.get(f"{house.api}/metrics", headers=headers).status_code == 200
    assert httpx.get(f"{house.api}/metrics").status_code == 401


def test_what_dies_is_started_again(house: House) -> None:
    names = {"serve": "the API", "grpc": "the code server", "dagster._daemon": "Dagster's daemon"}
    for word, name in names.items():
        (before,) = parts_of(house, word)
        before.send_signal(signal.SIGKILL)
        until(lambda name=name: f"{name} works again" in house.log(), house)
        assert f"{name} has ended (exit code -9); it is started again in" in house.log()
        assert before.pid not in [part.pid for part in parts_of(house, word)]
    until(lambda: ready(house), house)
    assert not [part for part in parts_of(house, "grpc") if part.ppid() == 1]


def test_the_embedded_database_that_was_killed_is_started_again(house: House) -> None:
    before = postmaster(house.home / "postgres")
    assert before is not None
    os.kill(before[0], signal.SIGKILL)
    until(lambda: (postmaster(house.home / "postgres") or before)[0] != before[0], house)
    until(lambda: ready(house), house)
    until(lambda: httpx.get(f"{house.api}/health", timeout=30).json()["status"] == "ok", house)
    assert house.ask("{instance{daemonHealth{id}}}")


def test_one_house_at_a_time_in_a_home(house: House) -> None:
    one, other = (str(port) for port in free_ports(2))
    command = [ORIMONO, "up", "--port", one, "--api-port", other, "--json"]
    done = subprocess.run(command, env=house.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "is up already" in json.loads(done.stdout)["error"]["message"]


def ready(house: House) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{house.api}/health/ready", timeout=30).status_code == 200
    return False


def until(condition: Callable[[], Any], house: House, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, house.log()[-6000:]
        time.sleep(0.2)


def parts_of(house: House, word: str) -> list[psutil.Process]:
    """The house's own processes with that word in their command."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if lives_in(house.home, process) and word in process.cmdline():
                found.append(process)
    return found
