"""A model's life in the real daemon, its clock moved to Sunday: trained anew, checked, registered, given to 5 % of the
users, fed failing traffic, taken back by itself; all of it read back from the audit trail and over GraphQL.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipelines.mastering import learning, training_set
from pipelines.models import rollout
from pipelines.settings import Settings
from pipelines.storage import labels
from pipelines.studio import Studio
from tests.dags.house import House, opened

pytestmark = [pytest.mark.xdist_group("daemon"), pytest.mark.timeout(600)]

NAME = "preset_cls"
ITEMS = "90"
TOKYO = ZoneInfo("Asia/Tokyo")
ASKING = """
import json, sys
import numpy as np
from pipelines import settings
from pipelines.mastering.training_set import FEATURE_VERSION
from pipelines.models.inference import Predictor
from pipelines.studio import Studio
name, rows = sys.argv[1], np.array(json.loads(sys.stdin.read()), np.float32)
with Predictor(Studio.open(settings.load()), name, feature_version=FEATURE_VERSION) as predictor:
    said = [predictor.predict(user, rows[i % len(rows)]) for i, user in enumerate(sys.argv[2:])]
print(json.dumps([[p.version, p.fell_back] for p in said]))
"""


class Clock:
    """The house's clock, by the file that its processes follow."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.file.write_text("0")

    def move_to(self, moment: datetime) -> None:
        self.file.write_text(str((moment - datetime.now(UTC)).total_seconds()))
        time.sleep(0.5)


@pytest.fixture(scope="module")
def sunday() -> datetime:
    """04:00 in Tokyo on the Sunday that comes next, with room for the house to start before it."""
    now = datetime.now(TOKYO) + timedelta(minutes=10)
    day = now + timedelta(days=(6 - now.weekday()) % 7)
    found = day.replace(hour=4, minute=0, second=0, microsecond=0)
    return (found if found > now else found + timedelta(days=7)).astimezone(UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which a first version of every model is live, and one label has been corrected since."""
    found = tmp_path_factory.mktemp("models")
    studio = Studio.open(Settings(home=str(found), corpus_items=ITEMS))
    learning.generate_corpus(studio)
    learning.assemble(studio)
    for task in ("master_reg", "preset_cls", "align_conf"):
        learning.train(studio, task)
        assert learning.release(studio, task)["stage"] == 100
    with studio.database.session() as session:
        row = next(r for r in labels.of_task(session, NAME) if r.y_cls != "warm")
        labels.correct(session, row.id, "warm", "tester")
    return found


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    return Clock(tmp_path_factory.mktemp("clock") / "offset")


@pytest.fixture(scope="module")
def house(home: Path, clock: Clock, sunday: datetime) -> Iterator[House]:
    clock.move_to(sunday - timedelta(minutes=5))
    extra = {
        "MOVED_CLOCK": str(clock.file),
        "PYTHONPATH": str(Path(__file__).parent / "moved_clock"),
        "ORIMONO_CORPUS_ITEMS": ITEMS,
    }
    with opened(home, extra) as found:
        yield found


def ended(house: House, schedule: str, count: int, seconds: float = 240) -> list[dict[str, Any]]:
    """Ended runs of this schedule, once there are so many of them."""
    end = time.monotonic() + seconds
    while True:
        tag = {"key": "dagster/schedule_name", "value": schedule}
        runs = [r for r in house.runs(scheduled=True) if tag in r["tags"] and r["status"] in ("SUCCESS", "FAILURE")]
        if len(runs) >= count:
            return runs
        assert time.monotonic() < end, f"{house.runs(scheduled=True)}\n{house.log()[-6000:]}"
        time.sleep(1)


def serving(house: House) -> dict[str, tuple[str, int]]:
    """status -> version and stage of the model's versions that serve or served."""
    found = house.orimono("models", NAME)["models"]
    return {v["status"]: (v["version"], v["stage"]) for v in found}


def asked(house: House, home: Path, users: list[str]) -> list[tuple[str, bool]]:
    """What a process of its own is answered for these users, by the house's clock."""
    studio = Studio.open(Settings(home=str(home)))
    with studio.database.session() as session:
        rows = training_set.assemble(session, NAME, now=datetime.now(UTC)).X[:50].tolist()
    command = [sys.executable, "-c", ASKING, NAME, *users]
    done = subprocess.run(
        command, env=house.environment, input=json.dumps(rows), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [(version, fell_back) for version, fell_back in json.loads(done.stdout)]


def test_it_is_trained_released_watched_and_taken_back(
    house: House, home: Path, clock: Clock, sunday: datetime
) -> None:
    first, _ = serving(house)["live"]

    clock.move_to(sunday - timedelta(seconds=2))
    (weekly,) = ended(house, "weekly_retraining", 1)
    assert weekly["status"] == "SUCCESS", house.log()[-6000:]
    candidate, stage = serving(house)["running"]
    assert stage == 5
    assert serving(house)["live"] == (first, 100)
    assert candidate.startswith(f"v{sunday:%Y%m%d}")

    early = [f"user {i}" for i in range(3000) if rollout.bucket(NAME, f"user {i}") < 500][:60]
    late = [f"user {i}" for i in range(300) if rollout.bucket(NAME, f"user {i}") >= 500][:20]
    assert asked(house, home, [early[0], late[0]]) == [(candidate, False), (first, False)]

    studio = Studio.open(Settings(home=str(home)))
    with studio.database.session() as session:
        row = rollout.current(session, NAME).running
        assert row is not None
        from pipelines.storage import models

        uri = models.of_ids(session, [row[0]])[row[0]].uri
    file = studio.objects.folder / uri
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-100])  # as a failing disk would
    answers = asked(house, home, [*early, *late])
    assert answers == [(first, True)] * len(early) + [(first, False)] * len(late)  # everybody is served all the same

    before = len(ended(house, "promotion_check", 1))
    clock.move_to(sunday + timedelta(minutes=15))
    (check, *_) = ended(house, "promotion_check", before + 1)
    assert check["status"] == "SUCCESS", house.log()[-6000:]
    states = serving(house)
    assert states["rolled_back"][0] == candidate
    assert states["live"] == (first, 100)
    assert "running" not in states

    trail = house.orimono("audit", "show", "--subject", f"model:{NAME}", "--limit", "50")["rows"]
    assert [r["action"] for r in reversed(trail)][-3:] == ["model.register", "rollout.begin", "rollout.roll_back"]
    assert "calls failed" in trail[0]["detail"]["reason"], trail[0]
    assert house.orimono("audit", "verify")["ok"]


def test_the_decision_is_in_the_ui(house: House) -> None:
    query = """{assetOrError(assetKey: {path: ["model_rollouts"]}) { ... on Asset { assetMaterializations(limit: 1) {
      metadataEntries { label ... on MarkdownMetadataEntry { mdStr } } } } } }"""
    (newest,) = house.ask(query)["assetOrError"]["assetMaterializations"]
    told = {e["label"]: e.get("mdStr") for e in newest["metadataEntries"]}
    assert NAME in told["decisions"].replace("\\", "")  # Markdown's escapes
    assert "| live |" in told["versions"]
