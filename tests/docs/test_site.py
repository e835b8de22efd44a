"""The site is built strictly and without the network, asks nobody, and can be searched where it is opened as a file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.docs.blocks import PROJECT
from tests.docs.pictures import CHROMIUM, QUIET

pytestmark = [pytest.mark.xdist_group("docs"), pytest.mark.timeout(300)]
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio)[^>]*\ssrc=["']?([^"'\s>]+)|<link[^>]*\shref=["']?([^"'\s>]+)"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    # Whoever asked a host would be told that there is none.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=PROJECT,
        env=os.environ | nowhere | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    return folder


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        found = [a or b for a, b in LOADED.findall(page.read_text(encoding="utf-8"))]
        outside = [one for one in found if urlsplit(one).netloc]
        assert outside == [], page.name
        for one in found:
            target = (page.parent / urlsplit(one).path).resolve()
            assert one.startswith("data:") or page.name == "404.html" or target.exists(), f"{page.name}: {one}"


@pytest.fixture(scope="module")
def asked(site: Path) -> Iterator[tuple[list[str], list[str]]]:
    """What the browser asked for, and what it complained of, while somebody searched the site as a file."""
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    requests: list[str] = []
    troubles: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto((site / "index.html").as_uri())
        field = page.locator("input.md-search__input")
        field.click()
        field.press_sequentially("audit trail is broken")
        found = page.locator(".md-search-result__link").first
        found.wait_for(timeout=60_000)
        assert "runbook" in (found.get_attribute("href") or "")
        found.click()
        page.wait_for_url("**/operations/runbook.html*")
        browser.close()
    yield requests, troubles


def test_it_is_searched_without_a_server(asked: tuple[list[str], list[str]]) -> None:
    requests, troubles = asked
    assert [url for url in requests if not url.startswith(("file:", "data:", "about:", "blob:"))] == []
    assert troubles == []


def test_the_reference_has_every_setting_command_and_asset(site: Path) -> None:
    reference = site / "reference"
    assert "ORIMONO_OBJECT_GRACE_DAYS" in (reference / "settings.html").read_text(encoding="utf-8")
    assert 'id="backfill"' in (reference / "commands.html").read_text(encoding="utf-8")
    assert 'id="edit_renders"' in (reference / "assets.html").read_text(encoding="utf-8")
    assert 'id="weekly_retraining"' not in (reference / "assets.html").read_text(encoding="utf-8")
    assert "weekly_retraining" in (reference / "cadences.html").read_text(encoding="utf-8")
    assert "create_master" in (reference / "python.html").read_text(encoding="utf-8")
