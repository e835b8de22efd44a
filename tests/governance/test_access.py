"""Opening an original takes two people, a reason, and leaves a trace at each step."""

from __future__ import annotations

import urllib.request
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from pipelines.errors import BadInput
from pipelines.governance import access, retention, withdrawal
from pipelines.governance.people import Actor, pseudonym
from pipelines.storage import access as table
from pipelines.storage import audit
from pipelines.storage.tables import VaultItem
from pipelines.studio import Studio
from tests.governance.house import NOW, OPERATOR, give, item_of

EDITOR = Actor("Emi", "editor")
SONG = {"mix-a.wav": b"a song" * 50}


@pytest.fixture
def item(any_studio: Studio) -> int:
    return item_of(any_studio, give(any_studio, "hers", "aoi", SONG, cached=False), "mix").id


def ask(studio: Studio, item: int, actor: Actor = EDITOR) -> int:
    with studio.database.session() as session:
        return access.request(session, actor, item, "the mix clicks at 0:31", NOW).id


def decide(studio: Studio, request: int, actor: Actor = OPERATOR, *, approve: bool = True) -> None:
    with studio.database.session() as session:
        access.decide(session, actor, request, approve=approve, now=NOW)


def test_asked_by_one_approved_by_another_opened_once(any_studio: Studio, item: int) -> None:
    request = ask(any_studio, item)
    with any_studio.database.session() as session:
        assert [row.id for row, _ in table.undecided(session)] == [request]
    with pytest.raises(BadInput, match="waits for a decision; ask an operator"):
        access.open(any_studio, EDITOR, request, NOW)
    decide(any_studio, request)
    with pytest.raises(BadInput, match="is not Olga's"):
        access.open(any_studio, OPERATOR, request, NOW)
    url = access.open(any_studio, EDITOR, request, NOW + timedelta(hours=1))
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == SONG["mix-a.wav"]
    if any_studio.objects.remote:
        assert "X-Amz-Expires=120" in url
    with pytest.raises(BadInput, match="was used at"):
        access.open(any_studio, EDITOR, request, NOW + timedelta(hours=1))
    with any_studio.database.session() as session:
        steps = audit.of_subject(session, f"vault:{item}")
        assert [step.action for step in steps] == ["access.request", "access.approve", "access.open"]
        assert [step.actor for step in steps] == [EDITOR.pseudonym, OPERATOR.pseudonym, EDITOR.pseudonym]
        assert steps[2].detail["owner"] == pseudonym("aoi")
        told = session.execute(text("select string_agg(a::text, ' ') from audit_logs a")).scalar_one()
    assert not [word for word in ("Emi", "Olga", "clicks", "X-Amz") if word in told]


def test_a_link_into_a_local_store_dies(studio: Studio) -> None:
    item = item_of(studio, give(studio, "hers", "aoi", SONG, cached=False), "mix").id

    def opened(moment: datetime) -> Path:
        request = ask(studio, item)
        decide(studio, request)
        return Path(access.open(studio, EDITOR, request, moment).removeprefix("file://"))

    first = opened(NOW)
    assert first.read_bytes() == SONG["mix-a.wav"] and first.parent.stat().st_mode & 0o077 == 0
    first.write_bytes(b"spoilt")
    second = opened(NOW + timedelta(seconds=60))
    assert first.exists() and second.read_bytes() == SONG["mix-a.wav"], "a copy, not the object"
    third = opened(NOW + timedelta(seconds=121))
    assert not first.exists() and second.exists() and third.exists()
    retention.expire(studio, NOW + timedelta(seconds=200), dry_run=True)
    assert second.exists()
    retention.expire(studio, NOW + timedelta(seconds=200))
    assert not second.parent.exists() and third.exists()
    withdrawal.request(studio, "aoi", OPERATOR)
    withdrawal.carry_out(studio)
    assert not third.exists()


def test_the_trail_tells_whether_two_names_sat_at_one_machine(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    item = item_of(studio, give(studio, "hers", "aoi", SONG, cached=False), "mix").id
    monkeypatch.setenv("LOGNAME", "kai")
    decide(studio, ask(studio, item))
    with studio.database.session() as session:
        asked, decided = audit.of_subject(session, f"vault:{item}")
    assert asked.actor != decided.actor
    assert asked.detail["machine_user"] == decided.detail["machine_user"] == pseudonym("kai")


def test_nobody_decides_on_their_own_request(studio: Studio) -> None:
    item = item_of(studio, give(studio, "hers", "aoi", SONG, cached=False), "mix").id
    request = ask(studio, item, Actor("Olga", "operator"))
    for name in ("Olga", " olga ", "OLGA"):
        with pytest.raises(BadInput, match="cannot decide on a request of their own"):
            decide(studio, request, Actor(name, "administrator"))
    with pytest.raises(IntegrityError, match="four_eyes"), studio.database.session() as session:
        session.execute(text("update access_requests set decided_by = requested_by, approved = true"))


def test_what_is_refused(studio: Studio) -> None:
    item = item_of(studio, give(studio, "hers", "aoi", SONG, cached=False), "mix").id
    with pytest.raises(BadInput, match="Vic: is a viewer, and this needs an editor"):
        ask(studio, item, Actor("Vic", "viewer"))
    with pytest.raises(BadInput, match="without a reason"), studio.database.session() as session:
        access.request(session, EDITOR, item, " ")
    with pytest.raises(BadInput, match="vault item 99: does not exist"):
        ask(studio, 99)
    with pytest.raises(BadInput, match="access request 99: does not exist"):
        decide(studio, 99)
    request = ask(studio, item)
    with pytest.raises(BadInput, match="is an editor, and this needs an operator"):
        decide(studio, request, Actor("Emil", "editor"))
    decide(studio, request, approve=False)
    with pytest.raises(BadInput, match="was refused before"):
        decide(studio, request)
    with pytest.raises(BadInput, match="was refused; make another request"):
        access.open(studio, EDITOR, request, NOW)


@pytest.mark.parametrize("hours", [25, -25])
def test_an_approval_does_not_wait_for_ever(studio: Studio, hours: int) -> None:
    item = item_of(studio, give(studio, "hers", "aoi", SONG, cached=False), "mix").id
    request = ask(studio, item)
    decide(studio, request)
    with pytest.raises(BadInput, match="was approved more than a day ago"):
        access.open(studio, EDITOR, request, NOW + timedelta(hours=hours))


def test_what_expired_meanwhile_is_not_opened(studio: Studio) -> None:
    item = item_of(studio, give(studio, "hers", "aoi", SONG, cached=False), "mix").id
    request = ask(studio, item)
    decide(studio, request)
    with studio.database.session() as session:
        session.execute(update(VaultItem).values(expires_at=NOW))
    retention.expire(studio, NOW)
    with pytest.raises(BadInput, match=r"was deleted \(expired\)"):
        access.open(studio, EDITOR, request, NOW)
