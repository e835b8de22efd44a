"""The ``orimono`` command, from its own parser."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from docs.generators import markdown as md
from serving.cli import parser

ABOUT = """\
`orimono` lies in `.venv/bin/`. Every command takes `--json` (one object on stdout, log lines on stderr) and
`--help`, and exits with 0 (done), 1 (failed) or 2 (bad input, said in one sentence that names the thing, the
reason and the remedy)."""


def subcommands(of: argparse.ArgumentParser) -> dict[str, tuple[str, argparse.ArgumentParser]]:
    """What each subcommand is for, and its parser, in the order in which ``--help`` lists them."""
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            return {name: (helps.get(name, ""), sub) for name, sub in action.choices.items()}
    return {}


def page() -> str:
    found = subcommands(parser())
    overview = md.table(
        ("command", "does"), ((f"[`orimono {name}`](#{name})", md.cell(help)) for name, (help, _) in found.items())
    )
    return md.page("Commands", ABOUT, overview, *(part for name in found for part in _section(name, *found[name])))


def _section(name: str, help: str, sub: argparse.ArgumentParser) -> Iterator[str]:
    yield f"## {name} {{ #{name.replace(' ', '-')} }}"
    below = subcommands(sub)
    sub.formatter_class = _plain
    usage = " ".join(sub.format_usage().removeprefix("usage: ").split())
    yield f"{help[:1].upper()}{help[1:]}.\n\n```text\n{_wrapped(usage)}\n```"
    if rows := [_row(action, sub) for action in sub._actions if _worth_telling(action)]:
        yield md.table(("argument", "meaning"), rows)
    for inner, (text, parser_) in below.items():
        yield from _section(f"{name} {inner}", text, parser_)


def _plain(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, width=10_000)


def _wrapped(usage: str, width: int = 100) -> str:
    """Options stay whole: broken between ``[...]`` only."""
    lines = [""]
    for part in re.findall(r"\[[^\]]*\]|\([^)]*\)|\S+", usage):
        if len(lines[-1]) + len(part) > width:
            lines.append("   ")
        lines[-1] += f" {part}" if lines[-1] else part
    return "\n".join(lines)


def _worth_telling(action: argparse.Action) -> bool:
    return not isinstance(action, argparse._HelpAction | argparse._SubParsersAction) and action.dest != "json"


def _row(action: argparse.Action, sub: argparse.ArgumentParser) -> tuple[str, str]:
    formatter = argparse.HelpFormatter(sub.prog)
    values = (
        formatter._format_args(action, formatter._get_default_metavar_for_optional(action)) if action.nargs != 0 else ""
    )
    name = ", ".join(action.option_strings) or formatter._format_args(action, action.dest)
    help = formatter._expand_help(action) if action.help else ""
    needed = " *(needed)*" if action.option_strings and action.required else ""
    return md.code(f"{name} {values}".strip() if action.option_strings else name), md.cell(help) + needed
