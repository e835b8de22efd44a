"""What can be held against the pages without running them: every name that they use is one, every block is run or says
why not, every alarm and check has its entry in the runbook."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from docs.generators import settings as settings_page
from docs.generators.assets import checks_of
from docs.generators.commands import subcommands
from pipelines.intake import job_file
from serving.cli import parser
from tests.docs.blocks import DOCS, PROJECT, RUN, Block, blocks, pages

PAGES = pages()
LANGUAGES = {*RUN, "text", "csv", "yaml", "toml", "json"}
NAMES = [str(page.relative_to(PROJECT)) for page in PAGES]
ELSEWHERE = re.compile(r"^(https?://|mailto:|#)")


def every_block() -> Iterator[Block]:
    for page in PAGES:
        yield from blocks(page)


def prose(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_blocks_are_run_or_say_why_not() -> None:
    strange = [f"{b.place}: {b.language!r}" for b in every_block() if b.language not in LANGUAGES | {"picture"}]
    assert strange == []
    unreasoned = [b.place for b in every_block() if b.skipped is not None and len(b.skipped.split()) < 4]
    assert unreasoned == []


def test_most_commands_are_run() -> None:
    """Those that cannot be are known one by one, so that none is added in passing."""
    skipped = [b.page for b in every_block() if b.language in RUN and b.skipped is not None]
    assert {page: skipped.count(page) for page in sorted(set(skipped))} == {
        "README.md": 2,
        "docs/how-to/add-a-cadence.md": 1,
        "docs/how-to/airflow.md": 2,
        "docs/how-to/api.md": 1,
        "docs/how-to/containers.md": 5,
        "docs/how-to/kubernetes.md": 3,
        "docs/how-to/minio.md": 3,
        "docs/how-to/ray.md": 1,
        "docs/operations/runbook.md": 1,
        "docs/tutorial.md": 1,
    }


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_and_options_exist(page: Path) -> None:
    known = subcommands(parser())
    for command, rest in re.findall(r"(?:`|^|\s)orimono ([a-z]+)\b([^`\n]*)", prose(page), re.MULTILINE):
        if command in ("dev", "inbox"):
            continue
        assert command in known, f"{page.name}: `orimono {command}` is no command"
        sub = known[command][1]
        found = [sub, *(inner for _, inner in subcommands(sub).values())]
        options = {option for one in found for action in one._actions for option in action.option_strings}
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", re.split(r"[;|]|\(|\)", rest)[0]):
            assert option in options, f"{page.name}: `orimono {command}` has no {option}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_settings_exist(page: Path) -> None:
    known = set(re.findall(r"ORIMONO_[A-Z0-9_]+", settings_page.page()))
    used = {name.removesuffix("_FILE") for name in re.findall(r"\bORIMONO_[A-Z0-9]+(?:_[A-Z0-9]+)*\b", prose(page))}
    assert used <= known, f"{page.name}: {sorted(used - known)}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    used = {word for line in re.findall(r"`make ([a-z -]+)`", prose(page)) for word in line.split()}
    used |= set(re.findall(r"^make ([a-z-]+)", prose(page), re.MULTILINE))
    assert used <= targets, f"{page.name}: {sorted(used - targets)}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_paths_of_the_project_exist(page: Path) -> None:
    roots = "|".join(
        ("pipelines", "assets", "resources", "dags", "serving", "tests", "benchmarks", "sample", "deploy", "docs")
    )
    for path in re.findall(rf"`((?:{roots})/[\w./-]*)`", prose(page)):
        assert (PROJECT / path).exists(), f"{page.name}: {path} is not there"


def test_links_of_the_readme_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", prose(PROJECT / "README.md")):
        if not ELSEWHERE.match(target):
            assert (PROJECT / target.partition("#")[0]).exists(), target


def test_job_files_are_as_the_product_reads_them() -> None:
    found = [b for b in every_block() if b.language == "yaml" and b.title.endswith("job.yaml")]
    assert len(found) >= 8
    for block in found:
        job_file.parse(block.body.encode(), block.place)


def test_other_yaml_is_yaml() -> None:
    for block in every_block():
        if block.language == "yaml":
            yaml.safe_load(block.body)


def alarms() -> Iterator[str]:
    """The constant part of each title that is told as an alarm."""
    for room in ("pipelines", "assets", "dags", "serving"):
        for path in sorted((PROJECT / room).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            titles = {
                node.targets[0].id: node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            }
            for node in ast.walk(tree):
                if not (
                    isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "send"
                ):
                    continue
                if not (
                    len(node.args) > 1 and isinstance(node.args[0], ast.Constant) and node.args[0].value == "alarms"
                ):
                    continue
                said = node.args[1]
                yield _constant(titles[said.id] if isinstance(said, ast.Name) else said)


def _constant(title: ast.expr) -> str:
    if isinstance(title, ast.Constant):
        return str(title.value)
    assert isinstance(title, ast.JoinedStr), ast.dump(title)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in title.values)


def test_every_alarm_is_in_the_runbook() -> None:
    headings = re.findall(r"^### (.+?)(?: \{.*)?$", prose(DOCS / "operations" / "runbook.md"), re.MULTILINE)
    found = sorted(set(alarms()))
    assert len(found) >= 5
    for title in found:
        said = title.strip("…").split("…")[0].strip(": ")
        assert any(said in heading for heading in headings), f"the runbook has no entry for {title!r}"


def test_every_promise_is_in_the_runbook() -> None:
    from pipelines import service_levels

    runbook = prose(DOCS / "operations" / "runbook.md")
    source = Path(service_levels.__file__).read_text(encoding="utf-8")
    said = [*re.findall(r'promise = "([^"]+)"', source), *re.findall(r'_fast\("\w+", "([^"]+)"', source)]
    assert len(said) == 7
    assert [one for one in said if one not in runbook] == []


def test_every_check_is_in_the_runbook() -> None:
    runbook = prose(DOCS / "operations" / "runbook.md")
    missing = sorted({name for found in checks_of().values() for name in found if f"`{name}`" not in runbook})
    assert missing == []
