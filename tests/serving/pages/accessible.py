"""What a page owes to people who read it otherwise, checked in the browser: names, labels, headings, contrast."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHECKS = Path(__file__).with_suffix(".js").read_text()


def findings(page: Page) -> list[str]:
    """One line for each thing that is to be mended; empty for a page that owes nothing."""
    found: list[str] = page.evaluate(CHECKS.partition("\n")[2])
    return found
