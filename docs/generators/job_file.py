"""``job.yaml``, from the models that read it."""

from __future__ import annotations

from typing import Any

from docs.generators import markdown as md
from pipelines.intake.job_file import MARKER, NAME, JobFile

ABOUT = f"""\
A job is a folder with media and a `{NAME}`. Copy it into the inbox and add an empty file `{MARKER}` last, or
let `orimono ingest` do both. What is not listed here is refused, in a sentence that names the place.
[`sample/jobs`](../how-to/jobs.md) has eight to look at."""
MEANINGS = {
    "owner": "whose job it is: a name or a mail address; decides who may see it, and whose consents count",
    "consents": "what the owner allows beside the job itself",
    "consents.quality": "the results may be looked at to judge the quality of the product",
    "consents.training": "models may learn from it",
    "bpm": "the song's tempo, where it is known",
    "key": "the song's key, where it is known",
    "files": "what lies in the folder",
    "files.file": "path below the job's folder",
    "files.kind": "what it is",
    "files.tags": "what can be seen or heard, in any language; the narrative pattern matches lyrics with them",
    "edit": "how the edits should be, for a song with clips",
    "edit.duration": "seconds; 60, or the whole song when it is shorter",
    "edit.fps": "such as 25, 29.97 or 30000/1001",
    "edit.patterns": "which edits to make; all when left out",
    "master": "how the master should be, for a mix or stems",
    "master.preset": "one of `orimono presets`; suggested when left out",
    "score": "how sheets are scored",
    "score.categories": "one output column each",
    "score.column": "the column of the texts; `utterance`, and `video` with `video: true`",
    "score.scale": "lowest and highest score; 1 and 5",
    "score.instructions": "what the model should know beforehand",
    "score.provider": "who is asked; the operator's settings' when left out",
    "score.model": "the provider's own when left out",
    "score.video": "the column holds links to videos",
    "compose": "how melodies are arranged",
    "compose.styles": "which styles",
    "compose.candidates": "how many of each style, ranked",
    "compose.seed": "another one draws other candidates",
    "compose.groove": "pop: chosen by metre and tempo when left out",
    "compose.density": "pop: 0 (sparse) to 1",
    "compose.energy": "pop: 0 (quiet) to 1",
    "compose.chords": "given chords, such as `C | Am F | G7`",
    "compose.track": "the melody's, by number from 1 or by name; found out when left out",
}


def page() -> str:
    schema = JobFile.model_json_schema()
    rows = list(_rows(schema, schema, ""))
    missing = [name for name, *_ in rows if name not in MEANINGS]
    if missing:
        raise LookupError(f"job.yaml has grown: say in docs/generators/job_file.py what {', '.join(missing)} is")
    told = ((md.code(name), _values(schema, field), md.cell(MEANINGS[name]) + needed) for name, field, needed in rows)
    return md.page("job.yaml", ABOUT, md.table(("field", "values", "meaning"), told))


def _rows(schema: dict[str, Any], model: dict[str, Any], above: str) -> Any:
    for name, field in model["properties"].items():
        place = f"{above}.{name}" if above else name
        yield place, field, " *(needed)*" if name in model.get("required", ()) else ""
        inner = _model(schema, field) or _model(schema, field.get("items", {}))
        if inner:
            yield from _rows(schema, inner, place)


def _model(schema: dict[str, Any], field: dict[str, Any]) -> dict[str, Any] | None:
    reference = field.get("$ref", "")
    found: dict[str, Any] | None = schema["$defs"].get(reference.rsplit("/", 1)[-1])
    return found


def _values(schema: dict[str, Any], field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return next(_values(schema, one) for one in field["anyOf"] if one.get("type") != "null")
    if "enum" in field:
        return ", ".join(md.code(value) for value in field["enum"])
    if field.get("type") == "array":
        inner = field.get("items") or field.get("prefixItems", [{}])[0]
        return f"list of {_values(schema, inner)}" if not _model(schema, inner) else "list"
    kinds = {"string": "text", "number": "number", "integer": "whole number", "boolean": "`true`, `false`"}
    least, most = (field.get(key, field.get(f"exclusive{key.capitalize()}")) for key in ("minimum", "maximum"))
    bounds = f", {least:g} to {most:g}" if least is not None and most is not None else ""
    return kinds.get(field.get("type", ""), "fields below") + bounds
