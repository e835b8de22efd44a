"""The tables of the system of record, from their SQLAlchemy classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import CheckConstraint, Column, UniqueConstraint
from sqlalchemy.dialects import postgresql

from docs.generators import markdown as md
from pipelines.storage.tables import REVISION, Base

ABOUT = f"""\
PostgreSQL is the system of record; this is its schema at migration `{REVISION}`. Read it freely; write it
through the product only, for triggers and constraints know less than the code. SQL over a table stands in one
module of `pipelines/storage/`."""


def page() -> str:
    classes = {mapper.local_table.name: mapper.class_ for mapper in Base.registry.mappers}
    sections: list[str] = []
    for table in sorted(Base.metadata.tables.values(), key=lambda one: one.name):
        about = md.told(classes[table.name]) if table.name in classes else ""
        sections += [f"## {table.name}", about]
        sections.append(md.table(("column", "type", "", "refers to"), (_row(column) for column in table.columns)))
        if rules := list(_rules(table)):
            sections.append("\n".join(f"- {rule}" for rule in rules))
    return md.page("Tables", ABOUT, *sections)


def _row(column: Column[Any]) -> tuple[str, str, str, str]:
    kind = md.code(column.type.compile(dialect=postgresql.dialect()).lower())
    marks = ["key"] if column.primary_key else []
    marks += ["may be null"] if column.nullable else []
    refers = ", ".join(
        md.code(key.target_fullname) for key in sorted(column.foreign_keys, key=lambda k: k.target_fullname)
    )
    return md.code(column.name), kind, ", ".join(marks), refers


def _rules(table: Any) -> Iterator[str]:
    """Constraints as they are declared, in an order that does not change from build to build."""
    uniques = [c for c in table.constraints if isinstance(c, UniqueConstraint)]
    for names in sorted(", ".join(column.name for column in one.columns) for one in uniques):
        yield f"unique: {md.code(names)}"
    for text in sorted(str(c.sqltext) for c in table.constraints if isinstance(c, CheckConstraint)):
        yield f"holds: {md.code(' '.join(text.split()))}"
