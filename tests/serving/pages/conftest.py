"""Pages in a real Chromium over a real server: who signs in, what must never happen on any page."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from pipelines.governance.people import Role
from tests.serving.api.conftest import Running
from tests.serving.api.conftest import app as app
from tests.serving.api.conftest import house as house
from tests.serving.api.conftest import server as server
from tests.serving.api.conftest import settings as settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = Path("/usr/bin/chromium")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Not for longer than a module: while Playwright is there, no other event loop runs in this thread."""
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(QUIET))
        yield opened
        opened.close()


@dataclass
class Visitor:
    """Somebody at a browser of their own. ``troubles``: what the console said, what was asked of other hosts, what
    broke; a status of 400 or more is one unless it is expected."""

    url: str
    context: BrowserContext
    page: Page
    expected: set[int] = field(default_factory=set)
    troubles: list[str] = field(default_factory=list)

    def go(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def sign_in(self, key: str) -> None:
        if urlsplit(self.page.url).path != "/sign-in":
            self.go("/sign-in")
        self.page.get_by_label("Key or token").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(lambda url: "/sign-in" not in url)

    def watch(self, page: Page) -> None:
        host = urlsplit(self.url).netloc
        page.on("pageerror", lambda error: self.troubles.append(f"script: {error}"))
        page.on("request", lambda one: self._asked(one.url, host))
        page.on("response", lambda one: self._answered(one.status, one.url))
        page.on("console", lambda one: self._said(one.type, one.text))

    def _asked(self, url: str, host: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.netloc != host:
            self.troubles.append(f"another host: {url}")

    def _answered(self, status: int, url: str) -> None:
        if status >= 400 and status not in self.expected:
            self.troubles.append(f"{status}: {urlsplit(url).path}")

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and "Failed to load resource" not in text:  # its status is judged above
            self.troubles.append(f"console: {text}")


Visits = Callable[..., Visitor]


def eventually(page: Page, condition: str) -> None:
    """Waits for a JavaScript condition (Playwright's own way needs eval, which the pages forbid)."""
    for _ in range(400):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never came true: {condition}")


@pytest.fixture
def visitor(chromium: Browser, server: Running) -> Iterator[Visits]:
    """``visitor(role="editor", name="ada", **browser)``: a browser that is signed in (``role=None``: that is not);
    further names are those of Playwright's new_context. In the end, nothing may have gone wrong on any page."""
    all_of_them: list[Visitor] = []
    with contextlib.ExitStack() as stack:

        def make(role: Role | None = "editor", name: str = "ada", **browser: Any) -> Visitor:
            context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **browser})
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(20_000)
            made = Visitor(server.url, context, page)
            made.watch(page)
            if role is not None:
                made.sign_in(server.key(role, name))
            all_of_them.append(made)
            return made

        yield make
        for one in all_of_them:
            assert one.troubles == []
