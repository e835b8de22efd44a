"""Many videos, decisions and tags at once: copied into temporary tables, then taken over by sets. All in the caller's
transaction.

What a row must say is recommending/rows.py's; one decision at a time is decisions.py's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from pipelines.storage import consents
from pipelines.storage.embedding_rows import raw
from pipelines.storage.recommending_tables import Viewer
from pipelines.storage.viewers import among

LOCK = 5_283_114_911  # one import at a time: two that name the same videos in another order would wait for each other

_TABLES: Mapping[str, str] = {
    "videos": """file int, line bigint, video_id uuid, external_id text, title text, description text, category text,
        genres text[], year bigint, duration_s real, available boolean, performers text[], tags text[]""",
    "decisions": """file int, line bigint, user_id uuid, pseudonym text, video_id uuid, external_id text, decision text,
        rating real, decided_at timestamptz""",
    "tags": "file int, line bigint, video_id uuid, user_id uuid, pseudonym text, tag text",
}
Refused = dict[int, tuple[int, list[int]]]  # by the file's number: rows, the first lines
WITHDREW = ("was decided by somebody who withdrew since", "was given by somebody who withdrew since")


def begin(session: Session) -> None:
    """Empty temporary tables, gone at the end of the transaction."""
    session.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    for name, columns in _TABLES.items():
        session.execute(text(f"create temporary table import_{name} ({columns}) on commit drop"))
    session.execute(text("create temporary table import_withdrawn (pseudonym text, until timestamptz) on commit drop"))


def copy_in(session: Session, name: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Rows in the order of the temporary table's columns."""
    with (
        raw(session) as connection,
        connection.cursor() as cursor,
        cursor.copy(f"copy import_{name} from stdin") as copy,
    ):
        for row in rows:
            copy.write_row(row)


def take_videos(session: Session, job_id: int, now: datetime) -> dict[str, int]:
    """The newest catalogue that names a video describes it whole, so that one with its owner goes all that they said of
    it: what an older job says of a newer job's video is let be. Of two rows about one video the last counts."""
    _run(session, "analyze import_videos")
    rows = _run(session, "select count(*) from import_videos").scalar_one()
    _run(session, _LAST_ROW)
    named = _run(session, "select count(*) from import_videos").scalar_one()
    parameters = {"job": job_id, "now": now}
    new = _run(session, _NEW_VIDEOS, parameters).rowcount
    older = _run(session, _OLDER, parameters).rowcount
    for statement in _FORMER_WORDS:
        _run(session, statement, parameters)
    changed = _run(session, _CHANGED_VIDEOS, parameters).rowcount
    for statement in _WORDS:
        _run(session, statement)
    return {"rows": rows, "repeated": rows - named, "new": new, "changed": changed, "older": older}


def take_decisions(session: Session, job_id: int, now: datetime) -> tuple[dict[str, int], dict[str, Refused]]:
    """Decisions that are there already stay as they are. A video that no catalogue names yet is made, with nothing but
    what the studio calls it. What somebody decided before they withdrew never comes back, from whichever file."""
    _withdrawn(session)
    _run(session, "analyze import_decisions")
    rows = _run(session, "select count(*) from import_decisions").scalar_one()
    gone = _refuse(session, _OF_WITHDRAWN)
    viewers = _run(session, _NEW_VIEWERS).rowcount
    # Held until the end: a withdrawal asked for meanwhile waits, and then finds all of these rows.
    _run(session, "select 1 from viewers where user_id in (select user_id from import_decisions) order by 1 for share")
    late = _refuse(session, _OF_WITHDRAWN)
    videos = _run(session, _BARE_VIDEOS, {"job": job_id, "now": now}).rowcount
    new = _run(session, _NEW_DECISIONS, {"job": job_id}).rowcount
    refused = gone | {
        file: (n + gone.get(file, (0, []))[0], gone.get(file, (0, lines))[1]) for file, (n, lines) in late.items()
    }
    known = rows - sum(n for n, _ in refused.values()) - new
    counts = {"rows": rows, "new": new, "known": known, "viewers": viewers, "videos": videos}
    return counts, {WITHDREW[0]: refused}


def take_tags(session: Session, job_id: int) -> tuple[dict[str, int], dict[str, Refused]]:
    """How many people gave each of the job's own videos a tag, in place of what was counted before; a video that is
    another job's keeps that one's tags, since they go with it."""
    _withdrawn(session)
    rows = _run(session, "select count(*) from import_tags").scalar_one()
    gone = _refuse(session, _TAGS_OF_WITHDRAWN)
    strange = _refuse(
        session,
        """delete from import_tags i where not exists
           (select from videos v where v.id = i.video_id and v.job_id = :job) returning file, line""",
        {"job": job_id},
    )
    _run(session, _NEW_TAGGERS)
    _run(session, "insert into tags (name) select distinct tag from import_tags order by 1 on conflict do nothing")
    counted = _run(session, _COUNTED_TAGS).rowcount
    refused = {"names a video that is not in this job's catalogue": strange}
    return {"rows": rows, "given": counted}, refused | {WITHDREW[1]: gone}


def withdrew(session: Session, people: Collection[tuple[UUID, str]]) -> bool:
    """Whether one of these (id, pseudonym) withdrew and has not decided anew since."""
    asked = consents.withdrawals(session)
    query = select(Viewer.user_id, Viewer.withdrawn_at).where(among(Viewer.user_id, [user for user, _ in people]))
    known = dict(session.execute(query).all())
    return any(known[user] is not None if user in known else person in asked for user, person in people)


def drop_tags(session: Session, job_id: int) -> None:
    """Leaves the job's own videos the tags that the catalogue itself, as it was copied in, gives them."""
    values = {"job": job_id}
    _run(session, _LAST_ROW)
    _run(session, _NOT_OURS, values)
    _run(session, "delete from video_tags t using videos v where v.id = t.video_id and v.job_id = :job", values)
    for statement in _WORDS:
        _run(session, statement)


def drop_unused_words(session: Session) -> None:
    """Tags and performers that no video has any more."""
    _run(session, "delete from tags t where not exists (select from video_tags v where v.tag_id = t.id)")
    _run(
        session,
        "delete from performers p where not exists (select from video_performers v where v.performer_id = p.id)",
    )


def _withdrawn(session: Session) -> None:
    """Until when each person has withdrawn, as a table."""
    _run(session, "truncate import_withdrawn")
    copy_in(session, "withdrawn", consents.withdrawals(session).items())


def _refuse(session: Session, statement: str, values: dict[str, Any] | None = None) -> Refused:
    found: Refused = {}
    for file, line in sorted(map(tuple, _run(session, statement, values))):
        n, lines = found.get(file, (0, []))
        found[file] = (n + 1, lines if len(lines) >= 5 else [*lines, line])
    return found


def _run(session: Session, statement: str, values: dict[str, Any] | None = None) -> Any:
    return session.execute(text(statement), values or {})


_LAST_ROW = """
    delete from import_videos i using import_videos j
    where j.video_id = i.video_id and (j.file, j.line) > (i.file, i.line)
"""
_NEW_VIDEOS = """
    insert into videos
        (id, external_id, title, description, category, genres, year, duration_s, available, job_id, updated_at)
    select video_id, external_id, title, description, category, genres, year, duration_s, available, :job, :now
    from import_videos order by video_id
    on conflict do nothing
"""
_OLDER = """
    delete from import_videos i using videos v where v.id = i.video_id and v.job_id > :job and
        (coalesce(v.title, v.description, v.category) is not null or v.genres <> '{}')
"""
_FORMER_WORDS = (
    """delete from video_tags t using import_videos i, videos v
       where i.video_id = t.video_id and v.id = i.video_id and v.job_id is distinct from :job""",
    """delete from video_performers p using import_videos i, videos v
       where i.video_id = p.video_id and v.id = i.video_id and v.job_id is distinct from :job""",
)
_CHANGED_VIDEOS = """
    update videos v set (title, description, category, genres, year, duration_s, available, job_id, updated_at) =
        (i.title, i.description, i.category, i.genres, i.year, i.duration_s, i.available, :job, :now)
    from import_videos i
    where v.id = i.video_id and
        (v.title, v.description, v.category, v.genres, v.year, v.duration_s, v.available, v.job_id) is distinct from
        (i.title, i.description, i.category, i.genres, i.year, i.duration_s, i.available, cast(:job as bigint))
"""
_WORDS = (
    """insert into tags (name) select distinct lower(word) from import_videos, unnest(tags) word order by 1
       on conflict do nothing""",
    """insert into video_tags (video_id, tag_id) select distinct i.video_id, t.id
       from import_videos i, unnest(i.tags) word join tags t on t.name = lower(word) on conflict do nothing""",
    """insert into performers (name) select distinct word from import_videos, unnest(performers) word order by 1
       on conflict do nothing""",
    """insert into video_performers (video_id, performer_id) select distinct i.video_id, p.id
       from import_videos i, unnest(i.performers) word join performers p on p.name = word on conflict do nothing""",
)
_OF_WITHDRAWN = """
    delete from import_decisions i where
        exists (select from import_withdrawn w where w.pseudonym = i.pseudonym and i.decided_at <= w.until) or
        exists (select from viewers v where v.user_id = i.user_id and
            (v.withdrawn_at is not null or exists
                (select from import_withdrawn w where w.pseudonym = v.pseudonym and i.decided_at <= w.until)))
    returning file, line
"""
# A tag has no moment: of somebody who withdrew it counts only once they have decided something anew.
_TAGS_OF_WITHDRAWN = """
    delete from import_tags i where
        exists (select from viewers v where v.user_id = i.user_id and v.withdrawn_at is not null) or
        (exists (select from import_withdrawn w where w.pseudonym = i.pseudonym)
            and not exists (select from viewers v where v.user_id = i.user_id))
    returning file, line
"""
_NEW_TAGGERS = """
    insert into viewers (user_id, pseudonym)
    select distinct on (user_id) user_id, pseudonym from import_tags where user_id is not null order by user_id
    on conflict do nothing
"""
_NOT_OURS = """
    delete from import_videos i where not exists (select from videos v where v.id = i.video_id and v.job_id = :job)
"""
_NEW_VIEWERS = """
    insert into viewers (user_id, pseudonym)
    select distinct on (user_id) user_id, pseudonym from import_decisions order by user_id
    on conflict do nothing
"""
_BARE_VIDEOS = """
    insert into videos (id, external_id, job_id, updated_at)
    select distinct on (video_id) video_id, external_id, :job, :now from import_decisions order by video_id, file, line
    on conflict do nothing
"""
_NEW_DECISIONS = """
    insert into user_video_decisions (user_id, video_id, decision, rating, decided_at, job_id)
    select distinct on (user_id, video_id, decided_at, decision) user_id, video_id, decision, rating, decided_at, :job
    from import_decisions order by user_id, video_id, decided_at, decision, file desc, line desc
    on conflict do nothing
"""
_COUNTED_TAGS = """
    insert into video_tags (video_id, tag_id, n)
    select i.video_id, t.id, greatest(count(distinct i.user_id), 1) from import_tags i join tags t on t.name = i.tag
    group by 1, 2 order by 1, 2
    on conflict (video_id, tag_id) do update set n = excluded.n where video_tags.n <> excluded.n
"""
