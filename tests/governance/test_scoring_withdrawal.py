"""Sheets, rows, answers and scored files of somebody who withdraws are gone, others' are not; what is nobody's goes by
itself."""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from pipelines.errors import BadInput
from pipelines.governance import records, retention, vault, withdrawal
from pipelines.scoring import chunks
from pipelines.scoring.recording import Recorder, held
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Answer, Scored, Tally
from pipelines.scoring.sheet import Span
from pipelines.storage import score_jobs
from pipelines.storage.score_jobs import NewScoreJob
from pipelines.storage.scoring_tables import ScoreCacheEntry, ScoreChunk, ScoreJob, ScoreRow
from pipelines.storage.tables import Job, VaultItem
from pipelines.studio import Studio
from tests.governance.house import NOW, OPERATOR, Given, give, mentions

AOI, REN = "Aoi Hanamura <aoi@example.org>", "ren@example.org"
HERS = {"sheet-aoi.csv": b"utterance\nI am Aoi\nhello\n"}
HIS = {"sheet-ren.csv": b"utterance\nI am Ren\nhello\n"}
RUBRIC = Rubric.of(["joy"])
GOOGLE = "google:1AbC:0"


def score(studio: Studio, given: Given | None, identity: str, texts: list[str], kind: str = "csv") -> int:
    """A sheet scored to its end, at the command line where nothing was given; ``texts``: of its rows."""
    name = "sheet of nobody" if given is None else f"sheet of {given.owner}"
    new = NewScoreJob(name, kind, f"place of {name}", identity, RUBRIC.to_dict(), {"provider": "local"}, len(texts))
    with studio.database.session() as session:
        made = score_jobs.add(session, dataclasses.replace(new, job_id=None if given is None else given.job_id))
        (chunk,) = chunks.plan(session, made, [Span(0, len(texts))])
    rows = [
        Scored(number, RUBRIC.key(text, "local", "m", ""), Answer((3,), 0.5, f"because of {text!r}"))
        for number, text in enumerate(texts)
    ]
    with Recorder(studio.database, made, studio.settings) as recorder:
        recorder.begin(chunk)
        fresh = {row.key: row.answer for row in rows if row.answer is not None}
        recorder.record(chunk, rows, fresh, Tally(rows=len(rows)), 1)
        recorder.end(chunk, None)
    with studio.database.session() as session:
        score_jobs.finish(session, made, {"place": f"results of {name}"})
    if given is not None:
        data = f"utterance,joy\n{texts}".encode()
        digest = hashlib.sha256(data).hexdigest()
        key = studio.objects.put_bytes(data, ".csv")
        with studio.database.session() as session:
            vault.keep(session, given.job_id, given.owner, "scored", key, digest, len(data), NOW)
        results = studio.settings.home_path / "results" / given.name
        results.mkdir(parents=True, exist_ok=True)
        (results / "scored.csv").write_bytes(data)
        given.keys["scored"] = key
        given.words |= {digest, name}
    return made


def sha(contents: dict[str, bytes]) -> str:
    (data,) = contents.values()
    return hashlib.sha256(data).hexdigest()


def counts(studio: Studio) -> dict[str, int]:
    with studio.database.session() as session:
        return {
            table.__tablename__: session.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (ScoreJob, ScoreChunk, ScoreRow, ScoreCacheEntry)
        }


@pytest.mark.parametrize("keep", [False, True])
def test_nothing_of_a_persons_sheets_is_left_and_nothing_of_others_is_lost(any_studio: Studio, keep: bool) -> None:
    studio = any_studio
    his = give(studio, "rens", REN, HIS, cached=False)
    kept = score(studio, his, sha(HIS), ["I am Ren", "hello"])
    hers = give(studio, "aois", AOI, HERS, cached=False)
    one = score(studio, hers, sha(HERS), ["I am Aoi", "hello"])
    two = score(studio, hers, GOOGLE, ["Aoi in Google"], "google")
    by_hand = score(studio, None, sha(HERS), ["I am Aoi", "Aoi by hand"])
    in_google = score(studio, None, GOOGLE, ["Aoi in Google"], "google")
    nobodys = score(studio, None, "another sheet", ["a stranger"])
    assert counts(studio) == {"score_jobs": 6, "score_chunks": 6, "score_rows": 9, "score_cache": 6}
    # The content is not looked for where originals are left with us.
    words = {"I am Aoi'", "Aoi by hand", "Aoi in Google", f"sheet of {AOI}", hers.keys["scored"]}
    assert {where.split()[0] for where, _ in mentions(studio, words)} >= {
        *("score_jobs", "score_rows", "score_cache", "vault_items", "object", "file")
    }

    asked = withdrawal.request(studio, AOI, OPERATOR, keep_originals=keep, now=NOW)
    planned = withdrawal.plan(studio, asked)
    assert {name: n for name, n in planned.rows.items() if name.startswith("score_")} == {
        "score_jobs": 4,
        "score_chunks": 4,
        "score_rows": 6,
        "score_cache": 3,
    }
    assert planned.sheets == (one, two, by_hand, in_google)
    assert counts(studio)["score_jobs"] == 6
    with studio.database.session() as session:
        (chunk,) = chunks.of(session, one)
    with Recorder(studio.database, one, studio.settings) as recorder, pytest.raises(BadInput, match="consent back"):
        recorder.begin(chunk)
    (report,) = withdrawal.carry_out(studio, NOW + timedelta(hours=1))

    assert report.done and report.summary["rows"] == planned.rows
    assert mentions(studio, words) == []
    assert counts(studio) == {"score_jobs": 2, "score_chunks": 2, "score_rows": 3, "score_cache": 3}
    with studio.database.session() as session:
        assert {score_jobs.get(session, sheet).id for sheet in (kept, nobodys)} == {kept, nobodys}
        assert (session.get(Job, hers.job_id) is not None) == keep
    assert (
        studio.objects.exists(his.keys["scored"]) and (studio.settings.home_path / "results/rens/scored.csv").exists()
    )
    assert set(records.named_sheets(studio)) == {str(sheet) for sheet in planned.sheets}
    assert len(mentions(studio, his.words)) > 3


def test_a_sheet_that_two_gave_stays_with_the_other(studio: Studio) -> None:
    hers = give(studio, "aois", AOI, HERS, cached=False)
    his = give(studio, "rens", REN, HERS, cached=False)
    score(studio, hers, sha(HERS), ["hello"])
    his_sheet = score(studio, his, sha(HERS), ["hello"])
    by_hand = score(studio, None, sha(HERS), ["hello"])
    withdrawal.request(studio, AOI, OPERATOR)
    assert [r.done for r in withdrawal.carry_out(studio)] == [True]
    assert counts(studio) == {"score_jobs": 2, "score_chunks": 2, "score_rows": 2, "score_cache": 1}
    assert studio.objects.exists(his.keys["scored"])
    withdrawal.request(studio, REN, OPERATOR)
    (report,) = withdrawal.carry_out(studio)
    assert report.done and report.summary["sheets"] == [his_sheet, by_hand]
    assert set(counts(studio).values()) == {0}


def test_the_last_look_waits_for_a_run_that_lives(studio: Studio) -> None:
    hers = give(studio, "aois", AOI, HERS, cached=False)
    made = score(studio, hers, sha(HERS), ["hello"])
    withdrawal.request(studio, AOI, OPERATOR, now=NOW)
    with held(studio.database, made):
        (report,) = withdrawal.carry_out(studio, NOW + timedelta(hours=1))
        assert not report.done and report.waiting and f"waits for score job {made}" in report.waiting
        assert set(counts(studio).values()) == {0}, "all that is known goes at once"
    (report,) = withdrawal.carry_out(studio, NOW + timedelta(hours=1))
    assert report.done


def test_scored_sheets_go_after_thirty_days_and_answers_after_their_hours(studio: Studio) -> None:
    his = give(studio, "rens", REN, HIS, cached=False)
    score(studio, his, sha(HIS), ["I am Ren"])
    old, young = (score(studio, None, name, [name]) for name in ("old", "young"))
    month = timedelta(days=30)
    with studio.database.session() as session:
        past = text("now() - interval '31 days'")
        aged = {"started_at": past, "finished_at": past, "requested_at": past}
        session.execute(update(ScoreJob).where(ScoreJob.id != young).values(created_at=past, finished_at=past))
        session.execute(update(ScoreChunk).where(ScoreChunk.score_job_id != young).values(**aged))
        session.execute(update(ScoreCacheEntry).values(created_at=text("now() - interval '25 hours'")))
    before = counts(studio)
    foreseen = retention.expire(studio, dry_run=True)
    assert foreseen.sheets == (old,) and f"would delete score job {old} of the command line" in foreseen.lines()
    assert counts(studio) == before
    assert retention.expire(studio).sheets == (old,)
    assert counts(studio) == {"score_jobs": 2, "score_chunks": 2, "score_rows": 2, "score_cache": 0}
    assert studio.objects.exists(his.keys["scored"])
    report = retention.expire(studio, NOW + month)
    assert [item.kind for item in report.expired] == ["scored"] and report.sheets == ()
    assert not studio.objects.exists(his.keys["scored"])
    assert not (studio.settings.home_path / "results/rens/scored.csv").exists()
    with studio.database.session() as session:
        item = session.execute(select(VaultItem).where(VaultItem.kind == "scored")).scalar_one()
        assert item.deleted_reason == "expired"
    assert retention.expire(studio, NOW + month + timedelta(days=2)).sheets == (young,)
