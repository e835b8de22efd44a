"""Pages are followed as a reader would: every command that is quick, in order, in a house of its own. `make docs-test`
follows all of them, with those that are marked as long, and the tutorial."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import PROJECT, RUN, Block, blocks
from tests.docs.running import Untrue, followed, reader

# What a quiet machine does in half a minute; a house with Dagster, a backup, a training or an edit is for docs-test.
QUICK = (
    "how-to/add-a-cadence.md",
    "how-to/add-a-provider.md",
    "how-to/api.md",
    "how-to/containers.md",
)

pytestmark = [pytest.mark.xdist_group("docs"), pytest.mark.timeout(420)]


@pytest.mark.parametrize("name", QUICK)
def test_what_a_page_says_is_what_happens(tmp_path: Path, name: str) -> None:
    found = [block for block in blocks(PROJECT / "docs" / name) if not block.long]
    with reader(tmp_path) as person:
        for block in found:
            person.follow(block)
    assert any(followed(block) for block in found)


def page(tmp_path: Path, text: str) -> list[Block]:
    written = PROJECT / "docs" / "page.md"
    return blocks(written, text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```sh\nfalse\n```", "exit code 1"),
        ("```sh\necho one\n```\n\n```text\ntwo\n```", "the page promises"),
        ("<!-- docs: exits 2 -->\n```sh\ntrue\n```", "exit code 0, not 2"),
        ('<!-- docs: take KEY from "key=(.)" -->\n```sh\necho KEY\n```', "looks like"),
    ],
)
def test_a_page_that_is_wrong_is_found_out(tmp_path: Path, text: str, told: str) -> None:
    with reader(tmp_path) as person, pytest.raises(Untrue, match=told):
        for block in page(tmp_path, text):
            person.follow(block)


def test_what_one_block_exports_holds_for_the_next(tmp_path: Path) -> None:
    one, other = "export WORD=weft\nmkdir -p a\ncd a", "echo $WORD $(basename $PWD)"
    text = f"```sh\n{one}\n```\n\n```sh\n{other}\n```\n\n```text\nweft a\n```"
    with reader(tmp_path) as person:
        for block in page(tmp_path, text):
            person.follow(block)
        assert "weft a" in person.last


def test_a_directive_without_a_block_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stands above no block"):
        page(tmp_path, "<!-- docs: skip it would take too long -->\n\nwords\n\n```sh\ntrue\n```")


def test_every_language_that_runs_is_followed() -> None:
    assert {block.language for block in page(Path(), "```sh\n:\n```\n```python\n1\n```") if followed(block)} == set(RUN)
