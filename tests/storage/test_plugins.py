from __future__ import annotations

from pipelines import clock
from pipelines.storage import jobs, plugins
from pipelines.storage.database import Database
from pipelines.storage.jobs import NewJob
from pipelines.storage.plugins import Chosen, Described, Known
from pipelines.storage.tables import Withdrawal

PIANO = Described(
    "clap", "org.example.piano", "Piano", "instrument", "Example", "1.0", ("piano",), "/plug-ins/one.clap"
)
ROOM = Described("clap", "org.example.room", "Room", "effect", path="/plug-ins/one.clap")
FILE = Described("clap", "file:/plug-ins/two.clap", "two", "effect", path="/plug-ins/two.clap")


def consent(database: Database, owner: str, *, training: bool) -> None:
    with database.session() as session:
        made, _ = jobs.add(session, NewJob(owner, owner, owner=owner))
        jobs.give_consent(session, made, owner, quality=False, training=training)


def test_what_a_file_holds_is_replaced(database: Database) -> None:
    with database.session() as session:
        plugins.replace(session, "/plug-ins/one.clap", [PIANO, ROOM, ROOM], fingerprint="1")
    with database.session() as session:
        assert plugins.known(session) == {"/plug-ins/one.clap": Known("1", None, 2)}
        assert [row.name for row in plugins.listed(session)] == ["Piano", "Room"]
        assert [row.name for row in plugins.listed(session, kind="effect", format="clap", status="ok")] == ["Room"]
        assert plugins.listed(session, format="vst3") == []
    with database.session() as session:
        plugins.replace(session, "/plug-ins/one.clap", [PIANO], fingerprint="2")
        assert plugins.find(session, "clap", "org.example.room") is None
        plugins.replace(session, "/plug-ins/one.clap", [], fingerprint="3")
        assert plugins.listed(session) == []


def test_a_failure_is_remembered_until_it_goes_well(database: Database) -> None:
    with database.session() as session:
        plugins.failed(session, FILE, "crashed", fingerprint="1")
        plugins.failed(session, FILE, "crashed again", fingerprint="2")
        assert plugins.known(session) == {"/plug-ins/two.clap": Known("2", "crashed again", 1)}
    with database.session() as session:
        plugins.replace(
            session, "/plug-ins/two.clap", [Described("clap", "x", "X", "effect", path=FILE.path)], fingerprint="3"
        )
        assert plugins.known(session) == {"/plug-ins/two.clap": Known("3", None, 1)}
        assert plugins.find(session, "clap", FILE.identifier) is None
        plugins.failed(session, FILE, "hangs", fingerprint="4")
        row = plugins.find(session, "clap", "x")
        assert row is not None
        assert (row.status, row.error) == ("failed", "hangs")


def test_a_file_that_is_gone_is_known_and_may_come_back(database: Database) -> None:
    with database.session() as session:
        plugins.replace(session, "/plug-ins/one.clap", [PIANO], fingerprint="1")
        plugins.gone(session, ["/plug-ins/one.clap", "/never/seen"])
        assert plugins.known(session) == {}
    with database.session() as session:
        moved = Described("clap", PIANO.identifier, "Piano", "instrument", path="/elsewhere/one.clap")
        plugins.replace(session, "/elsewhere/one.clap", [moved], fingerprint="1")
        assert plugins.known(session) == {"/elsewhere/one.clap": Known("1", None, 1)}


def test_choices_are_ones_own_and_those_of_people_who_allow_it(database: Database) -> None:
    for owner, training in (("Anna", True), ("Bo", True), ("Cy", False)):
        consent(database, owner, training=training)
    with database.session() as session:
        for owner in ("Anna", "Anna", " anna", "Bo", "Cy", "Dora"):
            plugins.choose(session, owner=owner, role="bass", style="pop", format="gm", identifier="33")
        plugins.choose(session, owner="Bo", role="bass", style="chorale", format="gm", identifier="42")
        plugins.choose(session, owner="Bo", role="pad", style="pop", format="gm", identifier="89")
    with database.session() as session:
        found = plugins.choices(session, "bass", "Anna")
        assert sorted(found, key=lambda one: (one.own, one.style)) == [
            Chosen(False, "chorale", "gm", "42", 1),
            Chosen(False, "pop", "gm", "33", 1),  # Bo; Cy does not allow it, and Dora was never asked
            Chosen(True, "pop", "gm", "33", 3),
        ]
        assert [one.n for one in plugins.choices(session, "bass", "Cy") if one.own] == [1]  # one's own are one's own
        session.add(
            Withdrawal(
                user_id="Bo", keep_originals=False, requested_by="Bo", requested_at=clock.now(), due_at=clock.now()
            )
        )
        session.flush()
        assert {one.own for one in plugins.choices(session, "bass", "Anna")} == {True}
        assert plugins.choices(session, "bass") == [Chosen(False, "pop", "gm", "33", 3)]  # of Anna
