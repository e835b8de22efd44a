"""Pictures for the pages, made while a page is followed.

``<!-- docs: picture FILE of ADDRESS [after "TEXT"] [high PIXELS] -->`` is a screenshot of the page once it shows TEXT;
``picture FILE from PATH`` a file that the page's commands made.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.docs.blocks import DOCS, Block
from tests.docs.running import Reader

CHROMIUM = "/usr/bin/chromium"
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
_SAID = re.compile(r'(?P<file>\S+) of (?P<address>\S+)(?: after "(?P<text>[^"]+)")?(?: high (?P<high>\d+))?')


class NoPicture(Exception):
    """The page did not come to show what was to be seen."""


@dataclass
class Camera:
    """A browser that signs in with the first key that the reader was shown."""

    person: Reader
    _open: list[Any] = field(default_factory=list)

    def take(self, block: Block) -> None:
        """Saves the picture that the directive names below ``docs/``."""
        if (made := re.fullmatch(r"(\S+) from (\S+)", block.body)) is not None:
            (DOCS / made[1]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(self.person.cwd()) / made[2], DOCS / made[1])
            return
        said = _SAID.fullmatch(block.body)
        if said is None:
            raise ValueError(f"{block.place}: {block.body!r} says no picture")
        from playwright.sync_api import Error

        try:
            self._shoot(said)
        except Error as error:
            raise NoPicture(str(error).splitlines()[0]) from error

    def _shoot(self, said: re.Match[str]) -> None:
        page = self._page()
        page.set_default_timeout(120_000)
        page.set_viewport_size({"width": 1280, "height": int(said["high"] or 800)})
        address = self.person.translated(said["address"])
        page.goto(address)
        if "/sign-in" in page.url:
            self._sign_in(page)
            page.goto(address)
        if said["text"]:
            page.get_by_text(re.compile(said["text"])).first.wait_for(timeout=120_000)
        page.wait_for_timeout(2500)
        path = DOCS / said["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(path))

    def _page(self) -> Any:
        if not self._open:
            from playwright.sync_api import sync_playwright

            playwright = sync_playwright().start()
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
            context = browser.new_context(device_scale_factor=1.25)
            self._open = [playwright, browser, context.new_page()]
        return self._open[-1]

    def _sign_in(self, page: Any) -> None:
        key = re.search(r"(orm_\S+)", "".join(log.read_text() for log in self.person.logs))
        assert key is not None, "no key was printed"
        page.get_by_label(re.compile("key", re.IGNORECASE)).first.fill(key[1])
        page.get_by_role("button").filter(has_text=re.compile("sign in", re.IGNORECASE)).first.click()
        page.wait_for_load_state()

    def close(self) -> None:
        if self._open:
            self._open[1].close()
            self._open[0].stop()
            self._open = []
