"""A trail that was tampered with, by someone who may do anything to the database, is seen to be."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pipelines.errors import BadInput
from pipelines.governance import audit
from pipelines.governance.audit import Head, Verdict
from pipelines.storage import audit as table
from pipelines.storage.database import Database

# As the table chains its rows: what a forger with the source would run.
FORGE = """
do $$
declare entry record; newest text := ''; number bigint := 0;
begin
    for entry in select * from audit_logs order by seq loop
        number := number + 1;
        update audit_logs set seq = number, previous = newest,
            hash = encode(sha256(convert_to(jsonb_build_array(newest, number,
                to_char(at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), actor, action, subject, detail)::text,
                'UTF8')), 'hex')
            where id = entry.id returning hash into newest;
    end loop;
end $$
"""


@pytest.fixture
def trail(database: Database) -> Database:
    """Twelve rows."""
    with database.session() as session:
        for n in range(12):
            detail = {"n": n, "歌": "春 🌸", "deep": [1.5, None, {"a": 1e-7}], "quote": '"\\'}
            table.write(session, actor="house", action="test", subject=f"job:{n}", detail=detail)
    return database


def tamper(database: Database, *statements: str) -> None:
    """As a superuser who switches the table's guards off for a moment."""
    with database.session() as session:
        session.execute(text("set local session_replication_role = replica"))
        for statement in statements:
            session.execute(text(statement))


def verdict(database: Database, expected: Head | None = None) -> Verdict:
    with database.session() as session:
        return audit.verify(session, expected)


def test_a_whole_trail_and_an_empty_one(trail: Database) -> None:
    found = verdict(trail)
    assert found.ok and found.n == 12 and found.head.n == 12
    assert verdict(trail, found.head).ok
    with trail.session() as session:
        assert audit.head(session) == found.head
        table.write(session, actor="house", action="more", subject="job:1")
    assert verdict(trail, found.head).ok, "a trail may grow behind the noted head"
    tamper(trail, "truncate audit_logs")
    assert verdict(trail).ok
    cut = verdict(trail, found.head)
    assert not cut.ok and cut.broken_seq == 1


def test_the_table_refuses_changes(trail: Database) -> None:
    for statement in ("update audit_logs set actor = 'x'", "delete from audit_logs", "truncate audit_logs"):
        with pytest.raises(DBAPIError), trail.session() as session:
            session.execute(text(statement))
    assert verdict(trail).n == 12


@pytest.mark.parametrize(
    ("statement", "seq", "reason"),
    [
        ("update audit_logs set actor = 'somebody' where seq = 5", 5, "its content is not what was written"),
        ("update audit_logs set at = at + interval '1 microsecond' where seq = 1", 1, "its content is not"),
        ("""update audit_logs set detail = '{"n": 4.0}' where seq = 5""", 5, "its content is not what was written"),
        ("update audit_logs set hash = repeat('a', 64) where seq = 12", 12, "its content is not what was written"),
        ("update audit_logs set previous = repeat('a', 64) where seq = 7", 7, "does not follow the row before it"),
        ("delete from audit_logs where seq = 4", 5, "a row is missing before it"),
        ("delete from audit_logs where seq in (1, 2)", 3, "2 rows are missing before it"),
        (
            "update audit_logs set seq = case seq when 3 then -4 else 3 end where seq in (3, 4);"
            "update audit_logs set seq = 4 where seq = -4",
            3,
            "does not follow the row before it",
        ),
        (
            "update audit_logs a set (actor, subject, detail) = "
            "(select actor, subject, detail from audit_logs b where b.seq = 9) where a.seq = 8",
            8,
            "its content is not what was written",
        ),
    ],
)
def test_what_was_changed_is_named(trail: Database, statement: str, seq: int, reason: str) -> None:
    tamper(trail, *statement.split(";"))
    found = verdict(trail)
    assert not found.ok
    assert found.broken_seq == seq
    assert reason in str(found)


def test_a_cut_or_rewritten_trail_is_seen_against_a_noted_head(trail: Database) -> None:
    noted = verdict(trail).head
    tamper(trail, "delete from audit_logs where seq > 9")
    assert verdict(trail).ok, "nothing in the table itself tells that there was more"
    found = verdict(trail, noted)
    assert not found.ok and found.broken_seq == 10 and "its end was cut off" in str(found)


def test_a_forged_chain_is_seen_against_a_noted_head(trail: Database) -> None:
    noted = verdict(trail).head
    tamper(trail, "update audit_logs set actor = 'somebody' where seq = 5", FORGE)
    assert verdict(trail).ok
    found = verdict(trail, noted)
    assert not found.ok and "written anew" in str(found)


@pytest.mark.parametrize("guard", sorted(audit.GUARDS))
def test_a_guard_that_is_off_is_said(trail: Database, guard: str) -> None:
    tamper(trail, f"alter table audit_logs disable trigger {guard}")
    try:
        found = verdict(trail)
        assert not found.ok and guard in str(found)
    finally:
        tamper(trail, f"alter table audit_logs enable trigger {guard}")
    assert verdict(trail).ok


def test_many_writers_make_one_chain(database: Database) -> None:
    def write(name: str) -> None:
        for n in range(20):
            with database.session() as session:
                table.write(session, actor=name, action="test", subject=f"job:{n}")

    writers = [threading.Thread(target=write, args=(f"writer {n}",)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert verdict(database).n == 80
    assert verdict(database).ok


def test_an_aborted_deed_leaves_no_gap(database: Database) -> None:
    def write(session: Session, fail: bool) -> None:
        table.write(session, actor="house", action="test", subject="job:1")
        if fail:
            raise RuntimeError

    for fail in (False, True, False):
        try:
            with database.session() as session:
                write(session, fail)
        except RuntimeError:
            pass
    found = verdict(database)
    assert found.ok and found.n == 2


def test_a_long_trail_is_read_in_pieces(database: Database) -> None:
    with database.session() as session:
        session.execute(
            text(
                "insert into audit_logs (actor, action, subject) "
                "select 'house', 'many', 'job:' || n from generate_series(1, 5000) n"
            )
        )
    found = verdict(database)
    assert found.ok and found.n == 5000


def test_a_head_is_written_and_read() -> None:
    noted = Head(7, "a" * 64)
    assert Head.parse(f" {noted}\n") == noted
    for nonsense in ("", "x:y", "7:abc", "-1:" + "a" * 64):
        with pytest.raises(BadInput, match="is no head of an audit trail"):
            Head.parse(nonsense)
