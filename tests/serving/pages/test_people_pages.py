"""Consents, deletions, originals, approvals and the audit trail in a browser."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from pipelines import clock
from pipelines.governance import consent, withdrawal
from pipelines.governance.people import Actor, pseudonym
from pipelines.storage import audit
from pipelines.storage.tables import AccessRequest, VaultItem, Withdrawal
from serving.pages import withdrawals as pages
from serving.wire.withdrawals import Withdrawal as Told
from tests.governance import house as governed
from tests.serving.api.conftest import Running
from tests.serving.pages import lived_in
from tests.serving.pages.accessible import findings
from tests.serving.pages.conftest import Visits

NASTY = '"><script>document.title="taken"</script>{{7*7}}'


@pytest.fixture
def people(server: Running) -> Running:
    governed.give(
        server.house.studio, "spring-creek", "Ada", {"inst-a.wav": b"inst " * 999, "vocal-a.wav": b"voc " * 999}
    )
    governed.give(server.house.studio, "old-tram", "Ben", {"mix-b.wav": b"mix " * 999})
    return server


def item(server: Running, kind: str) -> int:
    with server.house.session() as session:
        return session.execute(select(VaultItem.id).where(VaultItem.kind == kind)).scalars().one()


def actions(server: Running, prefix: str) -> list[tuple[str, str]]:
    with server.house.session() as session:
        rows = reversed(list(audit.newest(session, 500)))
        return [(row.actor, row.action) for row in rows if row.action.startswith(prefix)]


def test_one_asks_another_approves_and_the_link_opens_the_original_once(people: Running, visitor: Visits) -> None:
    number = item(people, "vocal")
    ada, olga = visitor("editor", "Ada"), visitor("operator", "Olga")
    page = ada.go(f"/originals/{number}")
    assert findings(page) == []
    form = page.get_by_role("form", name="Ask to open it")
    form.get_by_label("Reason").fill(NASTY)
    form.get_by_role("button", name="Ask").click()
    page.wait_for_url("**/approvals")
    assert "another person decides" in page.get_by_role("status").inner_text()
    assert page.get_by_role("button", name="Approve").count() == 0
    assert NASTY in page.inner_text("main")

    other = olga.go("/approvals?waiting=1")
    assert findings(other) == []
    assert NASTY in other.inner_text("main")
    other.get_by_role("button", name="Approve").click()
    other.wait_for_url("**/approvals")
    assert "is approved" in other.get_by_role("status").inner_text()
    assert other.get_by_role("button", name="Open").count() == 0  # it is Ada's to open

    page = ada.go("/approvals")
    page.get_by_role("button", name="Open, once").click()
    page.get_by_role("heading", name="is open").wait_for()
    assert findings(page) == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the original").click()
    assert download.value.path().read_bytes() == b"voc " * 999
    assert (pseudonym("Olga"), "access.approve") in actions(people, "access.")
    assert (pseudonym("Ada"), "access.open") in actions(people, "access.")
    page = ada.go("/approvals")
    assert page.get_by_role("button", name="Open").count() == 0


def test_nobody_decides_on_their_own_request(people: Running, visitor: Visits) -> None:
    olga = visitor("operator", "Olga")
    page = olga.go(f"/originals/{item(people, 'mix')}")
    form = page.get_by_role("form", name="Ask to open it")
    form.get_by_label("Reason").fill("I wonder")
    form.get_by_role("button", name="Ask").click()
    page.wait_for_url("**/approvals")
    assert page.get_by_role("button", name="Approve").count() == 0
    assert "Your own: another person decides." in page.inner_text("main")
    # As though the button were there.
    olga.expected |= {403, 409, 422}
    token = page.locator("main [name=csrf], header [name=csrf]").first.get_attribute("value")
    answer = page.request.post(
        f"{people.url}/approvals/1",
        form={"csrf": token or "", "decision": "approve"},
        headers={"Origin": people.url, "Accept": "text/html"},
    )
    assert "cannot decide on a request of their own" in answer.text()
    with people.house.session() as session:
        assert session.get_one(AccessRequest, 1).decided_at is None


def test_a_hold_stops_deletion_until_it_ends(people: Running, visitor: Visits) -> None:
    number = item(people, "mix")
    page = visitor("administrator", "Adam").go(f"/originals/{number}")
    form = page.get_by_role("form", name="Hold it")
    form.get_by_label("Reason").fill("a claim, until the court has spoken")
    form.get_by_role("button", name="Hold it").click()
    page.get_by_role("button", name="End the hold").wait_for()
    assert "a claim, until the court has spoken" in page.inner_text("main")
    assert findings(page) == []
    page.goto(f"{people.url}/originals?held=1")
    assert page.get_by_role("row").count() == 2
    page.goto(f"{people.url}/originals/{number}")
    page.get_by_role("button", name="End the hold").click()
    page.get_by_role("button", name="Hold it").wait_for()
    assert [action for _, action in actions(people, "vault.")] == ["vault.hold", "vault.release"]


def test_consents_are_changed_job_by_job(people: Running, visitor: Visits) -> None:
    page = visitor("editor", "Ada").go("/consents")
    assert findings(page) == []
    form = page.get_by_role("form", name="Consents of spring-creek")
    form.get_by_label("Training").uncheck()
    form.get_by_role("button", name="Save").click()
    page.wait_for_url("**/consents")
    assert "learning is not allowed" in page.get_by_role("status").inner_text()
    with people.house.session() as session:
        (given,) = consent.show(session, "Ada")
    assert (given.quality, given.training) == (True, False)


def test_an_operator_sees_anybodys_consents_others_their_own(people: Running, visitor: Visits) -> None:
    page = visitor("operator", "Olga").go("/consents?owner=Ben")
    assert "old-tram" in page.inner_text("main")
    ada = visitor("editor", "Ada")
    assert ada.go("/consents").get_by_label("Whose").count() == 0
    ada.expected.add(404)
    page = ada.go("/consents?owner=Ben")
    assert "old-tram" not in page.inner_text("body")


def test_a_person_withdraws_with_a_look_at_what_goes(people: Running, visitor: Visits) -> None:
    page = visitor("editor", "Ada", java_script_enabled=False).go("/withdrawals")
    page.get_by_role("button", name="See what would go").click()
    page.get_by_role("heading", name="What would go").wait_for()
    text = page.inner_text("main")
    assert "vault items" in text and "Nothing has been changed yet." in text
    with people.house.session() as session:
        assert session.execute(select(Withdrawal)).first() is None
    page.get_by_label("I know that this cannot be undone").check()
    page.get_by_role("button", name="Withdraw and delete").click()
    page.wait_for_url("**/withdrawals")
    assert "Excluded from everything now; deleted by" in page.get_by_role("status").inner_text()
    row = page.get_by_role("row").nth(1)
    assert "deleting" in row.inner_text() and "within 23 hours" in row.inner_text()
    with people.house.session() as session:
        assert all(given.withdrawn_at is not None for given in consent.show(session, "Ada"))
        assert all(given.withdrawn_at is None for given in consent.show(session, "Ben"))


def test_without_the_tick_nothing_goes(people: Running, visitor: Visits) -> None:
    page = visitor("operator", "Olga").go("/withdrawals/preview?owner=Ben")
    assert findings(page) == []
    page.evaluate("document.querySelector('#sure').required = false")
    page.get_by_role("button", name="Withdraw and delete").click()
    page.wait_for_url("**/withdrawals")
    assert "is not confirmed" in page.get_by_role("alert").inner_text()
    with people.house.session() as session:
        assert session.execute(select(Withdrawal)).first() is None


def test_what_is_overdue_is_said_in_plain_words(people: Running, visitor: Visits) -> None:
    studio = people.house.studio
    withdrawal.request(studio, "Ben", Actor("Ben", "viewer"), now=clock.now() - timedelta(hours=29))
    page = visitor("operator", "Olga").go("/withdrawals")
    assert "Overdue by 5 hours: it should all be gone and is not." in page.inner_text("main")
    assert findings(page) == []
    page.get_by_role("link", name=pseudonym("Ben")).click()
    page.get_by_role("heading", name="Withdrawal 1").wait_for()
    assert "Overdue by 5 hours" in page.inner_text("main")
    assert findings(page) == []
    withdrawal.carry_out(studio)
    page.reload()
    assert "All is deleted, and was looked for again, 5 hours late." in page.inner_text("main")
    assert "inbox" in page.inner_text("main")


def test_time_that_is_used_up_grows_to_the_whole() -> None:
    now = clock.now()
    told = Told(
        id=1, person="p", status="deleting", keep_originals=False, requested_at=now, due_at=now + timedelta(hours=24),
        completed_at=None, own=True, report=None, page="",
    )  # fmt: skip
    hours = [pages.passed(told, now + timedelta(hours=hours)) for hours in (-1, 0, 6, 24, 30)]
    assert hours == [0.0, 0.0, 0.25, 1.0, 1.0]
    assert "within 1 minute." in pages.in_words(told, now + timedelta(hours=23, minutes=59, seconds=30))
    assert "Overdue by 1 minute:" in pages.in_words(told, now + timedelta(hours=24, seconds=1))


def test_the_trail_is_searched_paged_and_verified(people: Running, visitor: Visits) -> None:
    with people.house.session() as session:
        for n in range(60):
            why = {"reason": f"{NASTY} {n}"}
            audit.write(session, actor="rules", action="rollout.promote", subject="model:x", detail=why)
    lived_in.with_wishes(people.house.studio)
    olga = visitor("operator", "Olga")
    olga.expected.add(422)
    page = olga.go("/audit")
    assert findings(page) == []
    page.get_by_label("Did what").fill("rollout.*")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**action=rollout**")
    assert page.get_by_role("row").count() == 51
    assert f"{NASTY} 59" in page.inner_text("main")
    page.get_by_role("link", name="Older ones").click()
    page.wait_for_url("**cursor=**")
    assert page.get_by_role("row").count() == 11
    assert page.get_by_label("Did what").input_value() == "rollout.*"
    page.goto(f"{people.url}/audit")
    page.get_by_label("Who").fill("Olga")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**actor=Olga**")
    assert set(page.locator("tbody td:nth-child(3)").all_inner_texts()) == {pseudonym("Olga")}
    page.goto(f"{people.url}/audit?since=yesterday")
    assert "is no date" in page.get_by_role("alert").inner_text()
    assert page.get_by_label("Did what").count() == 1
    page.get_by_role("link", name="Verify the chain").click()
    page.get_by_role("heading", name="It is whole").wait_for()
    assert findings(page) == []
    head = page.locator("code.long").inner_text()
    page.get_by_role("textbox", name="Head").fill(head)
    page.get_by_role("button", name="Verify").click()
    page.get_by_text("is still in it").wait_for()
    page.get_by_role("textbox", name="Head").fill(f"{10**6}:{'a' * 64}")
    page.get_by_role("button", name="Verify").click()
    page.get_by_role("heading", name="It is broken").wait_for()
    assert "its end was cut off" in page.inner_text("main")


def test_all_of_a_row_is_there_as_it_was_written(people: Running, visitor: Visits) -> None:
    with people.house.session() as session:
        audit.write(session, actor="rules", action="x.y", subject="z", detail={"deep": {"name": NASTY, "織": 1}})
    page = visitor("operator", "Olga").go("/audit?action=x.y")
    page.locator("td summary").click()
    shown = page.locator("pre").inner_text().rsplit("\n", 1)[0]
    assert json.loads(shown) == {"deep": {"name": NASTY, "織": 1}}
    assert page.title() != "taken"
