"""`orimono score` on a Google Sheet, killed (-9) and gone on with while a person works in the sheet."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from pipelines.settings import Settings
from pipelines.storage.database import Database
from tests.dags.house import ORIMONO
from tests.scoring.llm_server import Behaviour, expected
from tests.scoring.llm_server import serve as serve_model
from tests.scoring.sheets_book import Book, Page
from tests.scoring.sheets_server import serve

CATEGORIES = ("joy", "anger")
ROWS, IN_FLIGHT = 1_200, 8


@pytest.mark.timeout(300)
def test_killed_and_edited_it_ends_with_every_row_right(settings: Settings, database: Database, tmp_path: Path) -> None:
    page = Page(0, "シート1", [["id", "utterance"], *([n, f"row {n} of 台詞"] for n in range(ROWS))])
    hands = [
        lambda: page.insert_row(3, ["", "a person's own row"]),
        lambda: page.insert_column(1, "a person's own column"),
        lambda: page.move_row(900, 20),
    ]
    with (
        serve(Book("book", "台詞", [page]), reads=600, writes=600) as google,
        serve_model(Behaviour(latency=0.02)) as llm,
    ):
        plain = {k: v for k, v in os.environ.items() if not k.startswith("ORIMONO_")}
        env = {
            **plain,
            "ORIMONO_HOME": settings.home,
            "ORIMONO_DATABASE_URL": database.settings.database_url,
            "ORIMONO_GOOGLE_SHEETS_URL": google.url,
            "ORIMONO_GOOGLE_CREDENTIALS": str(google.credentials(tmp_path / "key.json")),
        }
        command = [ORIMONO, "score", google.address("book", 0), "--categories", ",".join(CATEGORIES), "--json"]
        command += ["--provider", "openai", "--base-url", llm.url, "--model", "m", "--concurrency", str(IN_FLIGHT)]
        for number, hand in enumerate(hands, 1):
            with subprocess.Popen([*command, "--resume"], env=env, stdout=subprocess.PIPE) as process:
                while process.poll() is None and llm.requests.total < number * 250:
                    time.sleep(0.005)
                process.kill()
            hand()
        last = subprocess.run([*command, "--resume"], env=env, capture_output=True, text=True, check=False)
        assert last.returncode == 0, last.stderr
        written = json.loads(last.stdout)["written"]
        assert (written["rows"], written["gone"]) == (ROWS, 0)
        assert llm.requests.total <= ROWS + len(hands) * IN_FLIGHT
        texts = page.column("utterance")
        for category in CATEGORIES:
            for text, score in zip(texts, page.column(category), strict=True):
                assert score == ("" if "own" in text else expected(text, CATEGORIES)[category])
        assert set(page.column("a person's own column")) == {""}
