"""A person's whole path in a real browser: sign in, send files, watch the job that Dagster runs, hear and choose; with
JavaScript, without it, and by the keyboard alone."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from definitions import build_defs
from pipelines.intake import batches, scan
from pipelines.settings import Settings
from pipelines.studio import Studio
from tests.serving.api.conftest import Running
from tests.serving.pages.accessible import findings
from tests.serving.pages.conftest import Visits, eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.timeout(280)

SAMPLE = Path(__file__).resolve().parents[3] / "sample"
GRACE = SAMPLE / "tunes" / "amazing_grace.mid"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, workers="1")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def take_in(studio: Studio) -> str:
    """What the inbox's sensor does; the batch's key."""
    for _ in range(100):
        scan.scan(studio.settings.inbox, studio.database, studio.objects, studio.settings)
        with studio.database.session() as session:
            planned = batches.plan_batches(session)
            for batch in planned:
                batches.mark_requested(session, batch.key)
        if planned:
            return planned[0].key
        time.sleep(0.1)
    raise AssertionError("the inbox stays empty")


def run(studio: Studio, instance: dg.DagsterInstance, key: str) -> None:
    """The part of Dagster's job that a melody needs; in a thread, since Playwright's loop runs in this one."""
    definitions = build_defs(resources={"studio": dg.ResourceDefinition.hardcoded_resource(studio)})
    instance.add_dynamic_partitions("batches", [key])
    quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}

    def execute() -> bool:
        return (
            definitions.resolve_job_def("batch")
            .execute_in_process(
                instance=instance,
                partition_key=key,
                run_config=quiet,
                raise_on_error=False,
                asset_selection=[dg.AssetKey("uploads"), dg.AssetKey("accompaniments")],
            )
            .success
        )

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(execute).result()
    with studio.database.session() as session:
        batches.mark_finished(session, key)


def send_a_melody(page: Page, url: str) -> str:
    """By the form with JavaScript; the job's name."""
    page.goto(f"{url}/new/arrange")
    page.locator("#file-melody").set_input_files(GRACE)
    page.get_by_label("Chorale").check()
    page.get_by_label("Candidates of each").fill("2")
    page.get_by_label("Title").fill("Amazing grace")
    page.get_by_text("here, ").wait_for()  # the upload was judged
    page.get_by_role("button", name="Send").click()
    page.wait_for_url(re.compile("/jobs/amazing-grace-"))
    return page.url.rsplit("/", 1)[1]


def test_from_a_melody_to_the_arrangement_that_was_chosen(
    server: Running, visitor: Visits, instance: dg.DagsterInstance
) -> None:
    ada = visitor("editor", "ada")
    page = ada.page
    name = send_a_melody(page, server.url)
    assert page.get_by_role("status").filter(has_text="Sent.").count() == 1
    assert page.locator(".badge").first.inner_text() == "waiting"
    assert findings(page) == []
    page.evaluate("window.sameDocument = true")

    studio = server.house.studio
    key = take_in(studio)
    page.get_by_text("requested").or_(page.locator(".badge", has_text="running")).first.wait_for()
    run(studio, instance, key)
    page.locator(".badge", has_text="finished").wait_for()
    page.get_by_role("heading", name="Arrangements").wait_for()
    assert page.evaluate("window.sameDocument") is True, "it came by itself, without loading the page again"
    assert page.get_by_text("Accompaniments").count() == 1
    assert findings(page) == []

    page.get_by_role("link", name="See, hear and choose").click()
    page.wait_for_url(re.compile(r"/arrangements\?job="))
    cards = page.get_by_role("article")
    assert cards.count() == 2
    eventually(page, "[...document.images].every((one) => one.complete && one.naturalWidth > 100)")
    second = page.get_by_role("article", name="candidate 2")
    second.locator("audio").evaluate("(one) => { one.muted = true; return one.play(); }")
    eventually(page, "document.querySelectorAll('audio')[1].currentTime > 0.05")
    second.get_by_role("button", name="Choose").click()
    page.get_by_text("Noted: candidate 2 of 2").wait_for()
    assert page.get_by_role("article", name="candidate 2").locator(".badge").inner_text() == "chosen"
    assert findings(page) == []

    bob = visitor("editor", "bob")
    bob.expected = {404}
    bob.go(f"/jobs/{name}")
    assert bob.page.get_by_role("heading", name="There is nothing here").count() == 1
    bob.go(f"/arrangements?job={name}")
    assert bob.page.get_by_role("article").count() == 0


def test_without_javascript_files_come_with_the_form(
    server: Running, visitor: Visits, instance: dg.DagsterInstance
) -> None:
    ada = visitor("editor", "ada", java_script_enabled=False)
    page = ada.go("/new/arrange")
    page.locator("#file-melody").set_input_files(GRACE)
    page.get_by_label("Pop").check()
    page.get_by_label("Candidates of each").fill("1")
    page.get_by_role("button", name="Send").click()
    page.wait_for_url(re.compile("/jobs/amazing-grace-"))
    assert page.locator("noscript meta[http-equiv=refresh], head meta[http-equiv=refresh]").count() == 1
    studio = server.house.studio
    run(studio, instance, take_in(studio))
    page.reload()
    assert page.locator(".badge").first.inner_text() == "finished"
    assert page.locator("audio").count() == 1
    page.get_by_role("link", name="See, hear and choose").click()
    page.get_by_role("button", name="Choose").click()
    assert page.get_by_text("Noted: candidate 1 of 1").count() == 1
    page.get_by_role("button", name="Sign out").click()
    assert page.get_by_text("You are signed out.").count() == 1


def test_by_the_keyboard_alone(server: Running, visitor: Visits) -> None:
    ada = visitor(None)
    page = ada.go("/new/arrange")
    assert page.evaluate("document.activeElement.name") == "key", "one can type the key at once"
    page.keyboard.type(server.key("editor", "ada"))
    page.keyboard.press("Enter")
    page.wait_for_url(f"{server.url}/new/arrange")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("(one) => document.activeElement.matches(one)", selector):
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", f"{selector} does not show that it has the focus"
                return
        raise AssertionError(f"{selector} cannot be reached")

    tab_to("#file-melody")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(GRACE)
    tab_to("#style-chorale")
    page.keyboard.press("Space")
    assert page.get_by_label("Chorale").is_checked()
    tab_to("#send")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/jobs/amazing-grace-"))


def test_what_is_wrong_is_said_where_it_is_wrong(server: Running, visitor: Visits, tmp_path: Path) -> None:
    fake = tmp_path / "tune.mid"
    fake.write_bytes(b"no MIDI at all")
    ada = visitor("editor", "ada")
    page = ada.go("/new/arrange")
    page.locator("#file-melody").set_input_files(fake)
    trouble = page.locator(".uploads .trouble")
    trouble.filter(has_text="tune.mid").wait_for()
    page.get_by_role("button", name="Send").click()
    page.get_by_text("A file was refused").wait_for()
    assert findings(page) == []
    page.get_by_role("button", name="Remove tune.mid").click()
    assert page.locator(".uploads li").count() == 0

    plain = visitor("editor", "ada", java_script_enabled=False)
    plain.expected = {422}
    page = plain.go("/new/arrange")
    page.locator("#file-melody").set_input_files(fake)
    page.get_by_label("Title").fill("Kept")
    page.get_by_role("button", name="Send").click()
    assert "tune.mid" in page.get_by_role("alert").inner_text()
    assert page.get_by_label("Title").input_value() == "Kept"
    with server.house.session() as session:
        from pipelines.storage.serving_tables import PendingUpload

        assert session.query(PendingUpload).filter_by(status="ready").count() == 0


def test_an_upload_that_was_cut_goes_on_where_it_was(server: Running, visitor: Visits, tmp_path: Path) -> None:
    """The connection breaks in the middle of the second piece; the file is chosen again after the page was left."""
    large = tmp_path / "song.wav"
    seconds = 120
    large.write_bytes(silence(seconds))
    ada = visitor("editor", "ada")
    page = ada.page
    ada.troubles.clear()
    sent: list[int] = []
    cut = {"n": 0}

    def on_patch(route) -> None:  # type: ignore[no-untyped-def]
        request = route.request
        if request.method != "PATCH":
            route.continue_()
            return
        sent.append(int(request.headers["upload-offset"]))
        cut["n"] += 1
        if cut["n"] == 2:
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/v1/uploads/*", on_patch)
    page.goto(f"{server.url}/new/master")
    page.locator("#file-mix").set_input_files(large)
    page.get_by_text("waits for the connection").wait_for()
    page.goto(f"{server.url}/new/master")  # gone and back
    page.locator("#file-mix").set_input_files(large)
    page.get_by_text("here, ").wait_for(timeout=60_000)
    assert sent[0] == 0 and sent[1] > 0
    assert 0 not in sent[1:], "no byte that had arrived was sent again"
    ada.troubles[:] = [one for one in ada.troubles if "net::ERR" not in one]


def silence(seconds: int) -> bytes:
    import io
    import wave

    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(b"\x00\x01\x00\x02" * (44_100 * seconds))
    return made.getvalue()
