"""The settings, from ``pipelines/settings.py``."""

from __future__ import annotations

from dataclasses import fields

from docs.generators import markdown as md
from pipelines.settings import PROJECT, Settings

ABOUT = """\
Every setting is an environment variable, and none is needed. `orimono config` prints them as they are set now,
secret ones hidden. An unknown `ORIMONO_` name is refused, so a typing error is not silent."""


def page() -> str:
    rows = []
    for field in fields(Settings):
        default = str(field.default).replace(str(PROJECT) + "/", "")
        meaning = md.cell(field.metadata["help"]) + (" *(secret)*" if field.metadata["secret"] else "")
        rows.append((md.code(f"ORIMONO_{field.name.upper()}"), md.code(default) if default else "", meaning))
    return md.page("Settings", ABOUT, md.table(("variable", "default", "meaning"), rows))
