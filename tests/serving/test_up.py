"""`orimono up`: three addresses that work, the first key once, and no part that goes on without the others."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import httpx
import psutil
import pytest

from pipelines.errors import BadInput
from pipelines.settings import Settings
from serving import up
from serving.api.server import listen
from tests.dags.house import ORIMONO, free_ports, lives_in, opened


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


def test_all_three_addresses_work_and_the_first_key_opens_them(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        log = house.log()
        dagster, docs, pages = re.findall(r"^(?:Dagster UI|API docs|Admin pages) +(\S+)$", log, re.MULTILINE)
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{house.api}/health/ready").status_code == 200:
                    break
            assert time.monotonic() < end, house.log()
            time.sleep(0.2)
        for address in (dagster, docs, pages):
            assert httpx.get(address, follow_redirects=True, timeout=30).status_code == 200, address
        (key,) = re.findall(r"First key +(orm_\S+)", house.log())
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{house.api}/metrics", headers=headers).status_code == 200
        assert httpx.get(f"{house.api}/metrics").status_code == 401


def test_when_the_api_dies_all_of_it_ends(tmp_path: Path) -> None:
    port, api_port = free_ports(2)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ORIMONO_", "DAGSTER_"))}
    environment |= {"ORIMONO_HOME": str(tmp_path)}
    with (tmp_path / "up.log").open("w") as log:
        process = subprocess.Popen(
            [ORIMONO, "up", "--port", str(port), "--api-port", str(api_port)], env=environment, stdout=log, stderr=log
        )
    try:
        end = time.monotonic() + 60
        api: psutil.Process | None = None
        while api is None:
            children = psutil.Process(process.pid).children()
            api = next((child for child in children if "serve" in child.cmdline()), None)
            assert time.monotonic() < end, (tmp_path / "up.log").read_text()
            time.sleep(0.1)
        api.send_signal(signal.SIGKILL)
        assert process.wait(100) == 1
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert "the API has ended (exit code -9), so all of it ends" in (tmp_path / "up.log").read_text()
    assert [p.cmdline()[:4] for p in psutil.process_iter() if lives_in(tmp_path, p)] == []
