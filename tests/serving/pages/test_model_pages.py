"""Models, rollout and flags in a browser: what is shown, and what a person does about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from pipelines.governance.people import pseudonym
from pipelines.models import rollout
from pipelines.storage import audit, flags
from tests.serving.api.conftest import Running
from tests.serving.pages import lived_in
from tests.serving.pages.accessible import findings
from tests.serving.pages.conftest import Visits

if TYPE_CHECKING:
    from playwright.sync_api import Page

NASTY = '"><script>document.title="taken"</script>{{7*7}}<img src=x onerror=alert(1)>'


@pytest.fixture
def models(server: Running) -> Running:
    """Version 1 is live, version 2 at 25 %; three days of traffic."""
    lived_in.a_short_life(server.house.studio)
    return server


def state(server: Running) -> rollout.Routes:
    with server.house.session() as session:
        return rollout.current(session, "preset_cls")


def decided(server: Running) -> list[tuple[str, str, str]]:
    """(actor, action, reason) of each decision about the model, oldest first."""
    with server.house.session() as session:
        rows = audit.of_subject(session, "model:preset_cls")
        return [(r.actor, r.action, r.detail["reason"]) for r in rows if r.action.startswith("rollout.")]


def wish(page: Page, form: str, button: str, reason: str) -> None:
    part = page.get_by_role("form", name=form, exact=True)
    part.get_by_label("Reason").fill(reason)
    part.get_by_role("button", name=button).click()


def test_models_tell_how_good_they_are_and_how_they_behave(models: Running, visitor: Visits) -> None:
    somebody = visitor("operator", "Olga")
    page = somebody.go("/models")
    card = page.get_by_role("region", name="preset_cls")
    text = card.inner_text()
    for said in ("macro-F1", "0.71", "Calls", "Latency", "Errors", "Drift", "running at 25 %"):
        assert said in text
    assert findings(page) == []
    card.get_by_role("link", name="preset_cls", exact=True).click()
    page.wait_for_url("**/models/preset_cls")
    drawn = page.get_by_role("img", name="Error rate")
    assert drawn.get_by_text("taken back above").count()
    assert page.locator("figure.chart svg[role=img]").count() >= 6
    assert findings(page) == []
    page.get_by_role("link", name="Release in Dagster").get_attribute("href")
    page.get_by_label("Each point covers the").select_option("7d")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/models/preset_cls?window=7d&days=30")
    assert page.get_by_role("img", name="Calls, last 7 days").count() == 1


def test_the_table_beneath_a_chart_opens_by_keyboard(models: Running, visitor: Visits) -> None:
    page = visitor("operator", "Olga", java_script_enabled=True).go("/models/preset_cls")
    figure = page.locator("#errors")
    figure.locator("summary").focus()
    page.keyboard.press("Enter")
    rows = figure.get_by_role("row")
    assert rows.count() > 3
    assert re.search(r"\d\s%", rows.nth(1).inner_text())


def test_promote_with_a_second_look(models: Running, visitor: Visits) -> None:
    before = state(models)
    assert before.running is not None
    page = visitor("operator", "Olga").go("/rollout/preset_cls")
    assert findings(page) == []
    wish(page, "Promote", "Promote", "two days at 25 % without a complaint")
    page.get_by_role("heading", name="Promote: preset_cls?").wait_for()
    assert "goes from 25 % to all users" in page.inner_text("main")
    assert findings(page) == []
    assert state(models) == before
    page.get_by_role("button", name="Yes, promote").click()
    page.wait_for_url("**/rollout/preset_cls")
    assert "25 % -> 100 %" in page.get_by_role("status").inner_text()
    after = state(models)
    assert (after.live, after.running) == (before.running[0], None)
    assert decided(models)[-1] == (pseudonym("Olga"), "rollout.promote", "two days at 25 % without a complaint")


def test_roll_back_without_javascript_and_by_keyboard_alone(models: Running, visitor: Visits) -> None:
    before = state(models)
    somebody = visitor("administrator", "Adam", java_script_enabled=False)
    page = somebody.go("/rollout/preset_cls")
    page.get_by_role("form", name="Roll back").get_by_label("Reason").focus()
    page.keyboard.type("masters come out dull")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Roll back: preset_cls?").wait_for()
    yes = page.get_by_role("button", name="Yes, roll back")
    for _ in range(60):
        if yes.evaluate("one => one === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/rollout/preset_cls")
    assert "25 % -> 0 %" in page.get_by_role("status").inner_text()
    assert (state(models).live, state(models).running) == (before.live, None)
    assert "masters come out dull" in page.get_by_role("region", name="Decisions, newest first").inner_text()


def test_the_slider_of_stages_moves_by_arrow_keys(models: Running, visitor: Visits) -> None:
    page = visitor("operator", "Olga").go("/rollout/preset_cls")
    page.get_by_role("radio", name="25 %").focus()
    page.keyboard.press("ArrowLeft")
    assert page.get_by_role("radio", name="5 %", exact=False).nth(0).is_checked()
    wish(page, "Set the stage", "Look at it once more", "fewer people until Monday")
    assert "goes from 25 % to 5 % of the users" in page.inner_text("main")
    page.get_by_role("link", name="No, leave it as it is").click()
    page.wait_for_url("**/rollout/preset_cls")
    assert state(models).running is not None and state(models).running[1] == 25  # type: ignore[index]


def test_what_somebody_else_changed_meanwhile_is_not_changed_again(models: Running, visitor: Visits) -> None:
    olga, adam = visitor("operator", "Olga"), visitor("administrator", "Adam")
    page = olga.go("/rollout/preset_cls")
    wish(page, "Promote", "Promote", "behaves")
    other = adam.go("/rollout/preset_cls")
    wish(other, "Roll back", "Roll back", "dull")
    other.get_by_role("button", name="Yes, roll back").click()
    other.wait_for_url("**/rollout/preset_cls")
    page.get_by_role("button", name="Yes, promote").click()
    page.wait_for_url("**/rollout/preset_cls")
    assert "was changed since you looked" in page.get_by_role("alert").inner_text()
    assert state(models).running is None
    assert [action for _, action, _ in decided(models)][-1] == "rollout.roll_back"


def test_a_reason_is_needed_whatever_the_browser_says(models: Running, visitor: Visits) -> None:
    page = visitor("operator", "Olga").go("/rollout/preset_cls")
    page.evaluate("document.querySelectorAll('[required]').forEach(one => one.required = false)")
    page.get_by_role("form", name="Promote").get_by_role("button").click()
    page.wait_for_url("**/rollout/preset_cls")
    assert "reason: is empty; fill it in" in page.get_by_role("alert").inner_text()


def test_reasons_are_text_wherever_they_stand(models: Running, visitor: Visits) -> None:
    page = visitor("operator", "Olga").go("/rollout/preset_cls")
    wish(page, "Roll back", "Roll back", NASTY)
    assert page.locator("blockquote").inner_text() == NASTY
    page.get_by_role("button", name="Yes, roll back").click()
    page.wait_for_url("**/rollout/preset_cls")
    for path in ("/rollout/preset_cls", "/rollout", "/models/preset_cls", "/audit?action=rollout.*"):
        page.goto(models.url + path)
        assert "taken" not in page.title()
        assert page.locator("main script, main img").count() == 0
        assert "49" not in page.locator("main td.reason").all_inner_texts()
    assert NASTY in page.inner_text("main")


def test_a_flag_is_turned_and_tells_by_whom(models: Running, visitor: Visits) -> None:
    page = visitor("operator", "Olga").go("/flags")
    assert findings(page) == []
    card = page.get_by_role("region", name="enable_align")
    card.get_by_label("Reason").fill(NASTY)
    card.get_by_role("button", name="Turn off").click()
    page.wait_for_url("**/flags")
    assert page.get_by_role("status").inner_text() == "enable_align is off now."
    with models.house.session() as session:
        assert not flags.enabled(session, "enable_align")
        assert flags.enabled(session, "enable_hq_master")
    card = page.get_by_role("region", name="enable_align")
    assert NASTY in card.inner_text()
    card.get_by_role("link", name="Its history").click()
    page.wait_for_url("**/audit?subject=flag**")
    assert pseudonym("Olga") in page.inner_text("main")


def test_nothing_registered_is_no_failure(server: Running, visitor: Visits) -> None:
    somebody = visitor("operator", "Olga")
    assert "No model yet" in somebody.go("/models").inner_text("main")
    assert "Nothing is rolled out" in somebody.go("/rollout").inner_text("main")
    somebody.expected.add(404)
    page = somebody.go("/models/nothing")
    assert "nothing" in page.inner_text("main") and page.get_by_role("heading", name="There is nothing here").count()
