"""Every page with something on it: readable by everybody, light and dark, wide and narrow; live where something runs;
and empty, with a word on what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from pipelines.settings import Settings
from tests.serving.api import work
from tests.serving.api.conftest import Running
from tests.serving.pages.accessible import findings
from tests.serving.pages.conftest import Visits, eventually

pytestmark = pytest.mark.timeout(280)

SCREENS = [("light", 1280), ("dark", 390)]
TASKS = ["edit", "master", "arrange", "score", "catalogue"]
LISTS = ["/", "/jobs", "/edits", "/masters", "/arrangements", "/scoring"]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, workers="1")


@pytest.fixture
def lived_in(server: Running) -> Iterator[Running]:
    """A master, arrangements, a sheet that waits, a job that was refused."""
    work.mastered(server.house)
    work.arranged(server.house)
    work.opinions(server.house)
    refused(server)
    yield server


def refused(server: Running) -> None:
    work.put(server.house, "broken", "ada", {"mix-broken.wav": b"RIFF no more"})
    work.scanned(server.house)


def test_every_page_is_for_everybody(lived_in: Running, visitor: Visits) -> None:
    pages = [*LISTS, "/jobs/dance", "/jobs/tune", "/jobs/opinions", "/jobs/broken", "/scoring/1"]
    pages += [f"/new/{task}" for task in TASKS]
    owing: dict[str, list[str]] = {}
    for scheme, width in SCREENS:
        olga = visitor(
            None, "olga", color_scheme=scheme, viewport={"width": width, "height": 844}, reduced_motion="reduce"
        )
        olga.expected = {404}
        if found := findings(olga.go("/sign-in")):
            owing[f"/sign-in {scheme} {width}"] = found
        olga.sign_in(lived_in.key("operator", "olga"))
        for path in [*pages, "/no/such/page"]:
            if found := findings(olga.go(path)):
                owing[f"{path} {scheme} {width}"] = found
        olga.context.close()
    assert owing == {}


def test_what_came_of_jobs_is_there_to_hear_and_see(lived_in: Running, visitor: Visits) -> None:
    ada = visitor("editor", "ada")
    page = ada.go("/masters")
    assert page.get_by_role("heading", name="dance").first.is_visible()
    for player in page.locator("audio").all():
        player.evaluate("(one) => { one.muted = true; return one.play(); }")
    eventually(page, "[...document.querySelectorAll('audio')].some((one) => one.currentTime > 0.05)")
    figures = page.get_by_role("table", name="Before and after")
    assert re.search(r"Loudness\s+−?\d+\.\d LUFS\s+−\d+\.\d LUFS", figures.inner_text())
    page = ada.go("/arrangements?job=tune")
    eventually(page, "[...document.images].every((one) => one.complete && one.naturalWidth > 100)")
    page = ada.go("/jobs/broken")
    assert page.locator(".badge", has_text="refused").first.is_visible()
    assert page.locator(".remedy").first.inner_text().strip() != "", "what to do is said"
    assert page.get_by_role("button", name="Try again").is_visible()


def test_the_overview_says_what_failed_and_what_to_do(server: Running, visitor: Visits) -> None:
    refused(server)
    olga = visitor("operator", "olga")
    page = olga.go("/")
    failures = page.get_by_role("region", name="Failed, and what to do")
    assert failures.get_by_role("link", name="broken").count() == 1
    assert failures.locator(".remedy").count() >= 1
    failures.get_by_role("button", name="Try all of it again").click()
    page.get_by_text("refused jobs are judged anew").wait_for()
    dagster = server.house.settings.dagster_address
    assert page.get_by_role("link", name="Runs in Dagster").get_attribute("href") == f"{dagster}/runs"
    assert page.get_by_role("link", name="API", exact=True).get_attribute("href") == "/docs"


def test_chunks_are_woven_while_one_looks(server: Running, visitor: Visits) -> None:
    work.opinions(server.house)
    ada = visitor("editor", "ada")
    page = ada.go("/scoring/1")
    cells = page.locator(".cloth-grid .cell")
    assert cells.count() == 2
    assert "planned" in cells.first.inner_text()
    dagster = server.house.settings.dagster_address
    assert (cells.first.get_attribute("href") or "").startswith(dagster)
    page.evaluate("window.sameDocument = true")
    score(server)
    page.locator(".cloth-grid .cell.finished").nth(1).wait_for()
    assert page.evaluate("window.sameDocument") is True
    assert page.locator(".legend").inner_text().split() == ["done:", "2"]
    assert findings(page) == []


def score(server: Running) -> None:
    """What Dagster's run of these chunks does."""
    from pipelines.scoring import batch, chunks

    with server.house.session() as session:
        waiting = [chunk.chunk_id for chunk in chunks.left(session, 1)]
    ran = batch.run(work.studio_of(server.house), waiting)
    assert sorted(ran.finished) == sorted(waiting)


def test_empty_pages_say_what_to_do_next(server: Running, visitor: Visits) -> None:
    ada = visitor("editor", "ada")
    for path in LISTS:
        page = ada.go(path)
        action = page.locator(".empty a.button")
        assert action.count() == 1, path
        assert (action.get_attribute("href") or "").startswith("/new"), path
        assert findings(page) == [], path
    vera = visitor("viewer", "vera")
    assert vera.go("/jobs").locator(".empty a.button").count() == 0, "who may send nothing is not told to"


def test_light_and_dark_are_remembered(server: Running, visitor: Visits) -> None:
    ada = visitor("editor", "ada", color_scheme="light", java_script_enabled=False)
    page = ada.go("/jobs?status=failed")

    def paper() -> str:
        found: str = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        return found

    def choose() -> None:
        page.locator("form.theme button").click()

    bright = paper()
    choose()
    assert (paper(), page.url) == (bright, f"{server.url}/jobs?status=failed"), "light, where one was"
    choose()
    assert paper() != bright
    ada.go("/new/score")
    assert paper() != bright
    choose()
    assert paper() == bright


def test_a_players_address_is_good_for_as_long_as_one_is_signed_in(server: Running, visitor: Visits) -> None:
    """It leads to a new link each time, since a link is good for two minutes."""
    work.arranged(server.house)
    ada = visitor("editor", "ada")
    address = "/jobs/tune/files/"
    page = ada.go("/arrangements?job=tune")
    source = page.locator("audio").first.get_attribute("src") or ""
    assert source.startswith(address)
    cookies = {c["name"]: c["value"] for c in ada.context.cookies()}
    with httpx.Client(base_url=server.url, cookies=cookies) as client:
        first, second = client.get(source), client.get(source)
        assert (first.status_code, second.status_code) == (307, 307)
        assert first.headers["location"].startswith("/v1/files/")
        part = client.get(first.headers["location"], headers={"Range": "bytes=0-99"})
        assert (part.status_code, len(part.content)) == (206, 100)
        with httpx.Client(base_url=server.url) as stranger:
            assert stranger.get(source).headers["location"].startswith("/sign-in")
        for path in ("../../../etc/passwd", "no-such-file", "%2e%2e/dance/x"):
            assert client.get(address + path).status_code == 404
