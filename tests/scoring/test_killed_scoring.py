"""`orimono score`, killed (-9) at random moments and gone on with: every row as in an undisturbed run, nothing asked
twice but what was in flight."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from pipelines.settings import Settings
from pipelines.storage.database import Database
from tests.dags.house import ORIMONO
from tests.scoring.llm_server import LLM, Behaviour, expected, serve

CATEGORIES = ("joy", "anger", "surprise", "calm")
ROWS, KILLS, IN_FLIGHT = 2_000, 20, 16


def sheet(path: Path) -> list[str]:
    texts = [f"row {n}: the {n % 7}th take, {n * n % 1013} words" for n in range(ROWS)]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "utterance"], *([n, text] for n, text in enumerate(texts))])
    return texts


def start(environment: dict[str, str], server: LLM, source: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [ORIMONO, "score", str(source), "--categories", ",".join(CATEGORIES), "--provider", "openai"]
    command += ["--base-url", server.url, "--model", "m", "--out", str(out), "--concurrency", str(IN_FLIGHT)]
    return subprocess.Popen(
        [*command, "--json", *more], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def environment(settings: Settings, database: Database) -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if not k.startswith("ORIMONO_")}
    url = database.settings.database_url
    return {**plain, "ORIMONO_HOME": settings.home, "ORIMONO_DATABASE_URL": url}


@pytest.mark.timeout(600)
def test_killed_twenty_times(settings: Settings, database: Database, tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    texts = sheet(tmp_path / "sheet.csv")
    env = environment(settings, database)
    out = tmp_path / "out.csv"
    with serve(Behaviour(latency=0.03, jitter=0.04)) as server:
        for number in range(KILLS):
            process = start(env, server, tmp_path / "sheet.csv", out, "--resume")
            # Most of them while rows are asked; some while it starts and plans.
            until = server.requests.total + chance.randint(1, 2 * ROWS // KILLS - 20)
            patience = time.monotonic() + (chance.uniform(0.2, 2.5) if number % 5 == 4 else 60)
            while process.poll() is None and server.requests.total < until and time.monotonic() < patience:
                time.sleep(0.002)
            process.kill()
            process.communicate()
            time.sleep(0.1)  # what was in flight is answered, to nobody
        asked_by_the_killed = sum(server.asked.values())
        process = start(env, server, tmp_path / "sheet.csv", out, "--resume")
        told, errors = process.communicate(timeout=120)
        assert process.returncode == 0, (seed, told, errors)
        with out.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["utterance"] for row in rows] == texts
        for row in rows:
            wanted = {category: str(score) for category, score in expected(row["utterance"], CATEGORIES).items()}
            assert {category: row[category] for category in CATEGORIES} == wanted, seed
            assert row["score_flag"] == ""
        again = sum(server.asked.values()) - ROWS
        assert again <= KILLS * IN_FLIGHT, (seed, again)
        assert asked_by_the_killed > ROWS // 2  # it is a run of many parts
        assert json.loads(told)["rows"] == ROWS


def test_an_undisturbed_run_asks_each_row_once(settings: Settings, database: Database, tmp_path: Path) -> None:
    sheet(tmp_path / "sheet.csv")
    with serve(Behaviour(latency=0.002)) as server:
        process = start(environment(settings, database), server, tmp_path / "sheet.csv", tmp_path / "out.csv")
        told, errors = process.communicate(timeout=120)
        assert process.returncode == 0, (told, errors)
        assert server.requests.total == ROWS and set(server.asked.values()) == {1}
        # Once more, and everything is known.
        process = start(environment(settings, database), server, tmp_path / "sheet.csv", tmp_path / "again.csv")
        told, errors = process.communicate(timeout=120)
        assert process.returncode == 0, (told, errors)
        assert server.requests.total == ROWS
        assert json.loads(told)["hit_rate"] == 1.0
        assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "out.csv").read_bytes()
