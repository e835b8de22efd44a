"""Decisions, viewers and videos: what is kept, what is read back, and of whom."""

from __future__ import annotations

import math
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from sqlalchemy import func, select, text, update

from pipelines.errors import BadInput
from pipelines.governance.people import pseudonym
from pipelines.recommending.people import video_id, viewer_id
from pipelines.storage import consents, decisions, jobs, videos, viewers
from pipelines.storage.database import Database
from pipelines.storage.jobs import NewJob
from pipelines.storage.recommending_tables import Decision, Performer, Tag, Video, VideoPerformer, VideoTag, Viewer

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ANN, BEN = viewer_id("ann"), viewer_id("ben")


def film(name: str) -> UUID:
    return video_id(name)


@pytest.fixture
def catalogue(database: Database) -> Database:
    with database.session() as session:
        for number, name in enumerate(("a", "b", "c", "d")):
            genres = ["Drama"] if number % 2 else ["Comedy", "Drama"]
            session.add(Video(id=film(name), external_id=name, title=f"Film {name}", genres=genres, year=2000 + number))
    return database


def tell(database: Database, who: UUID, what: str, decision: str, hours_ago: float, job: int | None = None) -> None:
    with database.session() as session:
        at = NOW - timedelta(hours=hours_ago)
        person = {ANN: pseudonym("ann"), BEN: pseudonym("ben")}.get(who)
        decisions.record(session, who, film(what), decision, 4.5, at, job, person=person, now=NOW)


def test_the_newest_decision_about_a_video_rules_and_the_oldest_video_comes_first(catalogue: Database) -> None:
    tell(catalogue, ANN, "a", "like", 5)
    tell(catalogue, ANN, "b", "watch", 4)
    tell(catalogue, ANN, "a", "dislike", 1)
    tell(catalogue, ANN, "c", "skip", 3)
    with catalogue.session() as session:
        found = decisions.history(session, ANN)
        assert decisions.seen(session, ANN) == {str(film(x)) for x in "abc"}
    assert found.external_ids.tolist() == ["b", "c", "a"]
    assert found.decisions.tolist() == ["watch", "skip", "dislike"]
    assert found.wanted.tolist() == [True, False, False]
    assert found.video_ids.tolist() == [str(film(x)) for x in "bca"]
    assert found.times.tolist() == [int((NOW - timedelta(hours=h)).timestamp()) for h in (4, 3, 1)]
    assert found.ratings.dtype == np.float32
    with catalogue.session() as session:
        assert decisions.history(session, ANN, limit=2).external_ids.tolist() == ["c", "a"]
        assert len(decisions.history(session, uuid4())) == 0


def test_all_histories_are_each_viewers_own(catalogue: Database) -> None:
    for number, what in enumerate("abcd"):
        tell(catalogue, ANN, what, "like", number)
        tell(catalogue, BEN, what, "watch", 10 - number)
    with catalogue.session() as session:
        found = dict(decisions.histories(session, limit=3))
        assert list(found) == sorted([str(ANN), str(BEN)])
        for who in (ANN, BEN):
            alone = decisions.history(session, who, limit=3)
            for name in ("video_ids", "external_ids", "times", "ratings", "decisions"):
                np.testing.assert_array_equal(getattr(found[str(who)], name), getattr(alone, name))
        assert list(dict(decisions.histories(session, [BEN]))) == [str(BEN)]


def test_a_decision_told_twice_is_there_once(catalogue: Database) -> None:
    tell(catalogue, ANN, "a", "like", 5)
    tell(catalogue, ANN, "a", "like", 5)
    with catalogue.session() as session:
        assert decisions.count(session) == 1 and viewers.ids(session) == [str(ANN)]


@pytest.mark.parametrize(
    ("what", "decision", "rating", "at", "message"),
    [
        ("a", "love", None, NOW, "is no decision; choose from like, watch, skip, dislike"),
        ("a", "like", float("nan"), NOW, "is no number"),
        ("a", "like", None, NOW + timedelta(hours=1), "is still to come"),
        ("a", "like", None, datetime(1989, 1, 1, tzinfo=UTC), "is before 1990"),
        ("a", "like", None, NOW.replace(tzinfo=None), "names no time zone"),
        ("zzz", "like", None, NOW, "is not known; import its catalogue first"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_a_sentence(
    catalogue: Database, what: str, decision: str, rating: float | None, at: datetime, message: str
) -> None:
    with pytest.raises(BadInput, match=message), catalogue.session() as session:
        decisions.record(session, ANN, film(what), decision, rating, at, now=NOW)
    with catalogue.session() as session:
        assert session.execute(select(func.count()).select_from(Viewer)).scalar_one() == 0


def test_a_clock_a_little_ahead_is_believed(catalogue: Database) -> None:
    tell(catalogue, ANN, "a", "like", -0.05)
    with catalogue.session() as session:
        assert len(decisions.history(session, ANN)) == 1


def test_what_may_be_learned_from(catalogue: Database) -> None:
    """A viewer's own word decides; without one, the word of the job's owner; a withdrawal ends both."""
    with catalogue.session() as session:
        allowed, _ = jobs.add(session, NewJob("allowed", "c1", owner="studio"))
        silent, _ = jobs.add(session, NewJob("silent", "c2", owner="studio"))
        jobs.give_consent(session, allowed, "studio", quality=False, training=True)
        jobs.give_consent(session, silent, "studio", quality=False, training=False)
    tell(catalogue, ANN, "a", "like", 5, allowed)
    tell(catalogue, ANN, "b", "like", 4, silent)
    tell(catalogue, ANN, "c", "like", 3)
    tell(catalogue, BEN, "a", "dislike", 2, allowed)

    def learned() -> list[tuple[str, str]]:
        with catalogue.session() as session:
            found = decisions.events(session)
            assert list(found.columns) == ["user_id", "item_id", "timestamp", "rating", "wanted", "decision"]
            assert decisions.count(session, trainable_only=True) == len(found)
        return [
            ("ann" if u == str(ANN) else "ben", next(x for x in "abcd" if str(film(x)) == v))
            for u, v in zip(found["user_id"], found["item_id"], strict=True)
        ]

    assert sorted(learned()) == [("ann", "a"), ("ben", "a")]
    with catalogue.session() as session:
        viewers.consent(session, ANN, training=True, actor="x", now=NOW)
        viewers.consent(session, BEN, training=False, actor="x", now=NOW)
    assert sorted(learned()) == [("ann", "a"), ("ann", "b"), ("ann", "c")]
    with catalogue.session() as session:
        assert viewers.withdraw(session, [ANN], NOW) == 1 and viewers.withdraw(session, [ANN], NOW) == 0
        everything = decisions.events(session, trainable_only=False)
        assert everything["user_id"].tolist() == [str(BEN)] and everything["wanted"].tolist() == [False]
        assert len(decisions.history(session, ANN)) == 0 and decisions.seen(session, ANN) == set()
        assert [who for who, _ in decisions.histories(session)] == [str(BEN)]
    assert learned() == []
    with pytest.raises(BadInput, match="withdrew"):
        tell(catalogue, ANN, "d", "like", 0)
    with pytest.raises(BadInput, match="withdrew"), catalogue.session() as session:
        viewers.consent(session, ANN, training=True, actor="x", now=NOW)


def test_the_newest_rules_even_where_only_the_older_may_be_learned_from(catalogue: Database) -> None:
    with catalogue.session() as session:
        allowed, _ = jobs.add(session, NewJob("allowed", "c1", owner="studio"))
        jobs.give_consent(session, allowed, "studio", quality=False, training=True)
    tell(catalogue, ANN, "a", "like", 5, allowed)
    tell(catalogue, ANN, "a", "dislike", 1)
    with catalogue.session() as session:
        assert len(decisions.events(session)) == 0


def test_within_a_second_what_came_first_comes_first(catalogue: Database) -> None:
    """Whatever the order in which it was told."""
    second = timedelta(seconds=1) / timedelta(hours=1)
    for what, ahead in (("c", 0.7), ("a", 0.2), ("b", 0.5)):
        tell(catalogue, ANN, what, "like", 1 - ahead * second)
    with catalogue.session() as session:
        found = decisions.history(session, ANN)
        assert found.external_ids.tolist() == ["a", "b", "c"] and len(set(found.times.tolist())) == 1
        assert dict(decisions.histories(session))[str(ANN)].external_ids.tolist() == ["a", "b", "c"]
        events = decisions.events(session, trainable_only=False)
        assert events["item_id"].tolist() == [str(film(x)) for x in "abc"]
        assert decisions.history(session, ANN, limit=2).external_ids.tolist() == ["b", "c"]


def test_events_come_in_blocks(catalogue: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows as tuples take more than 300 bytes each, of all at once gigabytes."""
    with catalogue.session() as session:
        session.execute(
            text("""
            insert into viewers (user_id, pseudonym) select md5(n::text)::uuid, n from generate_series(1, 400) n
        """)
        )
        session.execute(
            text("""
            insert into videos (id, external_id) select md5(n::text)::uuid, n from generate_series(1, 100) n
        """)
        )
        session.execute(
            text("""
            insert into user_video_decisions (user_id, video_id, decision, decided_at, rating)
            select user_id, id, 'watch', '2026-01-01'::timestamptz + interval '1 s' * n, nullif(n % 6, 0)
            from (select *, row_number() over (order by user_id, external_id) as n
                from viewers, videos where title is null) v
        """)
        )
    monkeypatch.setattr(decisions, "_AT_ONCE", 1_000)
    with catalogue.session() as session:
        decisions.events(session)  # imports pandas
        tracemalloc.start()
        found = decisions.events(session, trainable_only=False)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(found) == 40_000 and peak < 120 * len(found)
    assert found["user_id"].is_monotonic_increasing and found["user_id"].nunique() == 400
    assert (found["timestamp"].diff().dropna() == 1).all()
    assert found["rating"].isna().sum() == 40_000 // 6 and found["wanted"].all()
    assert str(found["rating"].dtype) == "float32" and str(found["timestamp"].dtype) == "int64"


def test_weights_are_of_those_who_are_learned_from(catalogue: Database) -> None:
    """As training counts them, at the moment that is asked for."""
    with catalogue.session() as session:
        allowed, _ = jobs.add(session, NewJob("allowed", "c1", owner="studio"))
        jobs.give_consent(session, allowed, "studio", quality=False, training=True)
    tell(catalogue, ANN, "a", "like", 49, allowed)
    tell(catalogue, BEN, "a", "watch", 25, allowed)
    tell(catalogue, BEN, "b", "dislike", 25, allowed)
    tell(catalogue, ANN, "c", "like", 1)  # her own word is missing
    with catalogue.session() as session:
        assert decisions.weights(session, 1.0) == {str(film("a")): (2, 1 + math.exp(-1))}
        viewers.consent(session, BEN, training=False, actor="x", now=NOW)
    with catalogue.session() as session:
        assert decisions.weights(session, 1.0) == {str(film("a")): (1, 1.0)}
        viewers.consent(session, ANN, training=True, actor="x", now=NOW)
    with catalogue.session() as session:
        assert set(decisions.weights(session, 1.0)) == {str(film("a")), str(film("c"))}
        session.execute(update(Decision).where(Decision.video_id == film("c")).values(created_at=NOW))
        session.execute(update(Decision).where(Decision.video_id == film("a")).values(created_at=NOW - HOUR))
    with catalogue.session() as session:
        assert set(decisions.weights(session, 1.0, until=NOW - HOUR)) == {str(film("a"))}
        assert set(decisions.weights(session, 1.0, until=NOW)) == {str(film("a")), str(film("c"))}
    other, _ = _owner(catalogue, "Ann")
    with catalogue.session() as session:
        session.execute(update(Viewer).values(granted_at=None, training=False))
        assert other and decisions.weights(session, 1.0) == {str(film("a")): (1, 1.0)}, "as events"
        assert decisions.events(session)["user_id"].unique().tolist() == [str(BEN)]


def _owner(database: Database, name: str) -> tuple[int, bool]:
    """A job whose owner allows no training."""
    with database.session() as session:
        made = jobs.add(session, NewJob("hers", "c9", owner=name))
        jobs.give_consent(session, made[0], name, quality=False, training=False)
    return made


def test_who_and_what_changed_since(catalogue: Database) -> None:
    tell(catalogue, ANN, "a", "like", 5)
    tell(catalogue, BEN, "a", "like", 5)
    with catalogue.session() as session:
        session.execute(update(Decision).values(created_at=NOW - HOUR))
        session.execute(update(Video).values(updated_at=NOW - HOUR))
        session.execute(update(Video).where(Video.id == film("b")).values(updated_at=NOW))
    tell(catalogue, BEN, "b", "like", 4)
    with catalogue.session() as session:
        session.execute(update(Decision).where(Decision.video_id == film("b")).values(created_at=NOW))
        assert viewers.ids(session) == viewers.ids(session, until=NOW) == sorted([str(ANN), str(BEN)])
        assert viewers.ids(session, until=NOW - HOUR) == [str(ANN)]
        assert videos.ids(session, until=NOW - HOUR) == sorted(str(film(x)) for x in "acd")
        assert len(videos.ids(session, until=NOW)) == 4


def test_words_of_who_allows_no_training_are_not_learned_from(catalogue: Database) -> None:
    silent, _ = _owner(catalogue, "Silent")
    with catalogue.session() as session:
        allowed, _ = jobs.add(session, NewJob("allowed", "c1", owner="Studio"))
        bare, _ = jobs.add(session, NewJob("bare", "c2", owner="Nobody"))
        for job, owner in ((allowed, "Studio"), (bare, "Nobody")):
            jobs.give_consent(session, job, owner, quality=False, training=True)
        session.add(Video(id=film("e"), external_id="e", job_id=bare))
        told = {"description": "x", "category": "y", "duration_s": 9.0}
        session.execute(update(Video).where(Video.id == film("a")).values(job_id=silent, available=False, **told))
        session.execute(update(Video).where(Video.id == film("b")).values(job_id=allowed, **told))
        tag, performer = Tag(name="slow"), Performer(name="Zoe")
        session.add_all([tag, performer])
        session.flush()
        for what in "ab":
            session.add(VideoTag(video_id=film(what), tag_id=tag.id))
            session.add(VideoPerformer(video_id=film(what), performer_id=performer.id))
    with catalogue.session() as session:
        whole = videos.frame(session).set_index("external_id")
        found = videos.frame(session, learnable=True).set_index("external_id")
        assert videos.givers(session) == [pseudonym("studio")]
        consents.of_job(session, allowed).training = False  # type: ignore[union-attr]
    for name in "bcde":
        assert str(list(found.loc[name])) == str(list(whole.loc[name]))
    assert whole.loc["a", "title"] == "Film a" and whole.loc["a", "tags"] == ["slow"]
    row: Any = dict(found.loc["a"])
    assert row["item_id"] == str(film("a")) and not bool(row["available"]) and str(found["available"].dtype) == "bool"
    assert [row[n] for n in ("title", "category", "description")] == [None] * 3
    assert [row[n] for n in ("genres", "performers", "tags")] == [[], [], []]
    assert np.isnan(row["year"]) and np.isnan(row["duration_s"])
    with catalogue.session() as session:
        assert videos.givers(session) == []
        assert videos.frame(session, learnable=True).set_index("external_id").loc["b", "title"] is None


def test_a_viewer_comes_once_whatever_they_are_called(database: Database) -> None:
    with database.session() as session:
        viewers.ensure(session, ANN, pseudonym("ann"))
        viewers.ensure(session, ANN, pseudonym(str(ANN)))
        assert session.execute(select(func.count()).select_from(Viewer)).scalar_one() == 1
        assert [row.user_id for row in viewers.of_name(session, " Ann")] == [ANN]
        assert [row.user_id for row in viewers.of_name(session, str(ANN))] == [ANN]
        assert viewers.of_name(session, "nobody") == []
        assert viewers.pseudonyms(session, [ANN]) == [pseudonym("ann")]
        with pytest.raises(BadInput, match="pseudonym of another"):
            viewers.ensure(session, uuid4(), pseudonym("ann"))


def test_the_frame_has_one_row_a_video_with_all_that_is_known(catalogue: Database) -> None:
    with catalogue.session() as session:
        session.add(Video(id=film("bare"), external_id="bare"))
        for name, n in (("dark", 3), ("slow", 9)):
            tag = Tag(name=name)
            session.add(tag)
            session.flush()
            session.add(VideoTag(video_id=film("a"), tag_id=tag.id, n=n))
        for name in ("Zoe", "Ali"):
            performer = Performer(name=name)
            session.add(performer)
            session.flush()
            session.add(VideoPerformer(video_id=film("a"), performer_id=performer.id))
    with catalogue.session() as session:
        found = videos.frame(session).set_index("external_id")
        assert tuple(videos.frame(session).columns) == videos.COLUMNS
        assert videos.count(session) == 5 and len(videos.ids(session)) == 5
        card = videos.find(session, "a")
        assert card is not None and videos.find(session, str(film("a"))) == card and videos.find(session, "q") is None
    assert found.loc["a", "tags"] == ["slow", "dark"] and found.loc["a", "performers"] == ["Ali", "Zoe"]
    assert found.loc["a", "genres"] == ["Comedy", "Drama"] and found.loc["a", "year"] == 2000.0
    bare = found.loc["bare"]
    assert bare["title"] is None and np.isnan(bare["year"]) and bare["genres"] == [] and bool(bare["available"])


def test_a_frame_of_nothing_has_its_columns(database: Database) -> None:
    with database.session() as session:
        assert tuple(videos.frame(session).columns) == videos.COLUMNS
        assert len(decisions.events(session)) == 0


def test_decisions_go_with_their_job(catalogue: Database) -> None:
    with catalogue.session() as session:
        job, _ = jobs.add(session, NewJob("job", "c1", owner="studio"))
    tell(catalogue, ANN, "a", "like", 5, job)
    tell(catalogue, ANN, "b", "like", 5)
    with catalogue.session() as session:
        session.delete(jobs.get(session, job))
    with catalogue.session() as session:
        assert session.execute(select(Decision.video_id)).scalars().all() == [film("b")]
