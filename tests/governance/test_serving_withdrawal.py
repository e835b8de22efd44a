"""What serving keeps of a person: all of it goes when they withdraw, and each kind when its time is up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text, update

from pipelines import clock
from pipelines.governance import audit, retention, withdrawal
from pipelines.governance.people import Actor
from pipelines.identity import keys
from pipelines.storage import served
from pipelines.storage.serving_tables import (
    ApiKey,
    ApiTraffic,
    BrowserSession,
    IdempotentAnswer,
    PendingUpload,
    Submission,
)
from pipelines.studio import Studio
from tests.governance.house import give, mentions
from tests.governance.killed import kill_at
from tests.governance.served import use

AOI, REN = "Aoi Hanamura <aoi@example.org>", "ren@example.org"
TABLES = (ApiKey, BrowserSession, PendingUpload, Submission, IdempotentAnswer)


def rows(studio: Studio) -> dict[str, int]:
    with studio.database.session() as session:
        counted = {t.__tablename__: session.scalar(select(func.count()).select_from(t)) for t in TABLES}
    return {name: n for name, n in counted.items() if n}


def test_nothing_of_who_used_the_api_is_left(studio: Studio) -> None:
    use(studio, AOI, "aois-thing")
    use(studio, REN, "rens-thing")
    theirs = mentions(studio, ["rens-thing"])
    before = rows(studio)
    words = ["aois-thing", "Aoi Hanamura", "aoi@example.org"]
    assert {where.split()[0] for where, _ in mentions(studio, words)} >= {
        *("api_keys", "browser_sessions", "pending_uploads", "submissions", "idempotent_answers", "file"),
    }
    asked = withdrawal.request(studio, AOI.upper(), Actor(AOI, "viewer"))
    planned = withdrawal.plan(studio, asked)
    assert planned.rows == {name: n // 2 for name, n in before.items()}
    assert [path.split("/")[0] for path, _ in planned.files] == ["incoming"]
    assert [report.done for report in withdrawal.carry_out(studio)] == [True]
    assert mentions(studio, [*words, AOI.upper()]) == []
    assert mentions(studio, ["rens-thing"]) == theirs
    with studio.database.session() as session:
        assert audit.verify(session).ok


def test_who_comes_back_keeps_what_they_gave_since(studio: Studio) -> None:
    old, _ = use(studio, AOI, "aois-thing")
    withdrawal.request(studio, AOI, Actor(AOI, "viewer"))
    with studio.database.session() as session:
        new = keys.make(session, AOI, "editor").key
    withdrawal.carry_out(studio)
    with studio.database.session() as session:
        assert keys.verify(session, old) is None
        assert keys.verify(session, new) is not None


def test_keeping_originals_keeps_no_key(studio: Studio) -> None:
    give(studio, "hers", AOI, {"mix-a.wav": b"a song" * 50})
    use(studio, AOI, "aois-thing")
    withdrawal.request(studio, AOI, Actor(AOI, "viewer"), keep_originals=True)
    assert [report.done for report in withdrawal.carry_out(studio)] == [True]
    assert rows(studio) == {}
    assert mentions(studio, ["aois-thing"]) == []


@pytest.mark.parametrize(
    "where", ["after pipelines.governance.traces:clear", "after pipelines.storage.withdrawals:erase"]
)
def test_killed_anywhere_the_next_run_goes_on(studio: Studio, where: str) -> None:
    use(studio, AOI, "aois-thing")
    withdrawal.request(studio, AOI, Actor(AOI, "viewer"))
    kill_at(studio, "withdrawal", clock.now(), where)
    assert [report.done for report in withdrawal.carry_out(studio)] == [True]
    assert mentions(studio, ["aois-thing", "Aoi Hanamura"]) == []


def test_each_kind_goes_when_its_time_is_up(studio: Studio) -> None:
    use(studio, AOI, "aois-thing")
    use(studio, REN, "rens-thing")
    now = clock.now()
    with studio.database.session() as session:
        for table, owner in ((PendingUpload, AOI), (BrowserSession, AOI)):
            session.execute(update(table).where(table.owner == owner).values(expires_at=now - timedelta(seconds=1)))
        key = session.execute(select(ApiKey).where(ApiKey.owner == REN)).scalar_one()
        key.revoked_at = now - served.KEYS - timedelta(seconds=1)
        session.execute(
            update(IdempotentAnswer)
            .where(IdempotentAnswer.body.contains("aois"))
            .values(created_at=now - served.ANSWERS - timedelta(seconds=1))
        )
        for age in (served.TRAFFIC - timedelta(minutes=5), served.TRAFFIC + timedelta(minutes=5)):
            minute = (now - age).replace(second=0, microsecond=0)
            session.add(
                ApiTraffic(
                    route="GET /v1/jobs", minute=minute, n=1, failed=0, refused=0, latency_ms=1.0, latency_counts=[1]
                )
            )
    retention.expire(studio)
    with studio.database.session() as session:
        left = {
            table.__tablename__: session.execute(select(table.owner)).scalars().all()
            for table in (ApiKey, BrowserSession, PendingUpload, Submission)
        }
        assert left == {
            "api_keys": [AOI],
            "browser_sessions": [],  # hers is over; his went with his key
            "pending_uploads": [REN],
            "submissions": [AOI, REN],
        }
        assert session.scalar(select(func.count()).select_from(ApiTraffic)) == 1
        assert session.scalar(text("select count(*) from idempotent_answers")) == 1
    names = [path.name for path in (studio.settings.home_path / "incoming").rglob("*") if path.is_file()]
    assert "rens-thing.txt" in names and "aois-thing.txt" not in names


def test_a_key_that_expired_stays_to_be_seen_for_a_while(studio: Studio) -> None:
    noon = datetime(2031, 5, 4, 12, tzinfo=UTC)
    with studio.database.session() as session:
        keys.make(session, AOI, "editor", expires_at=noon, now=noon - timedelta(days=1))
        assert served.expire(session, noon + served.KEYS)["api_keys"] == 0
        assert served.expire(session, noon + served.KEYS + timedelta(seconds=1))["api_keys"] == 1
