"""``job.yaml``: what a person says about a job. Whether its files are there and sound is left to scan and ingest."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from yaml.nodes import MappingNode, Node

from pipelines.composing.wishes import MOST_CANDIDATES
from pipelines.editing.clocks import parse_rate
from pipelines.errors import BadInput
from pipelines.scoring.rubric import HIGHEST, LOWEST, Rubric
from pipelines.texts import sayable as sayable

NAME = "job.yaml"
MARKER = "_COMPLETE"
MAX_BYTES = 256 * 1024
MAX_DEPTH = 12
REMEDY = "mend job.yaml as the README shows"


def _line(text: str) -> str:
    if not sayable(text):
        raise ValueError("must be one line of text")
    return text


Kind = Literal["music", "clip", "lyrics", "inst", "vocal", "mix", "melody", "sheet", "videos", "decisions", "tags"]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_line)]
_nothing = BeforeValidator(lambda value: [] if value is None else value)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, coerce_numbers_to_str=True)


class Consents(_Part):
    """What the owner allows beside the job itself; nothing unless said."""

    quality: bool = False
    training: bool = False


class JobItem(_Part):
    """One file. ``file`` is relative to the job's folder."""

    file: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    kind: Kind
    tags: Annotated[tuple[Text, ...], _nothing, Field(max_length=100)] = ()

    @field_validator("file")
    @classmethod
    def _path(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or "\\" in value or not sayable(value) or value[1:2] == ":":
            raise ValueError("must be a path relative to the job's folder, with / between folders")
        if path.name.startswith(".") or path.name in ("", NAME, MARKER):
            raise ValueError("must name an ordinary, visible file")
        return value


class EditWish(_Part):
    """How the edits should be; what is left out is chosen by the product."""

    duration: Annotated[float, Field(gt=0, le=4 * 3600, allow_inf_nan=False)] | None = None  # s
    fps: Annotated[str, StringConstraints(max_length=20)] | None = None
    patterns: Annotated[tuple[Text, ...], Field(min_length=1, max_length=20)] | None = None

    @field_validator("fps")
    @classmethod
    def _rate(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_rate(value)
            except BadInput as error:
                raise ValueError(error.reason) from error
        return value

    @field_validator("patterns")
    @classmethod
    def _known(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        from pipelines.editing.patterns import patterns

        known = patterns()
        if unknown := [name for name in value or () if name not in known]:
            raise ValueError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return value


class MasterWish(_Part):
    """How the master should be; without a preset, the product suggests one."""

    preset: Text | None = None

    @field_validator("preset")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        from pipelines.mastering import presets

        if value is not None:
            try:
                presets.get(value)
            except BadInput as error:
                raise ValueError(f"{value!r} {error.reason}; {error.remedy}") from error
        return value


class ScoreWish(_Part):
    """How the job's sheets should be scored; who is asked is the operator's settings' unless said."""

    categories: Annotated[tuple[str, ...], _nothing] = ()
    column: Text | None = None  # of the texts; `utterance`, and `video` for links
    scale: tuple[int, int] | None = None
    instructions: str = ""
    provider: Literal["openai", "gemini", "local"] | None = None
    model: Text | None = None
    video: bool = False  # the column holds links to videos

    @model_validator(mode="after")
    def _usable(self) -> ScoreWish:
        if self.categories:
            try:
                self.rubric()
            except BadInput as error:
                raise ValueError(f"{error.what} {error.reason}; {error.remedy}") from error
        return self

    def rubric(self) -> Rubric:
        return Rubric.of(self.categories, scale=self.scale or (LOWEST, HIGHEST), instructions=self.instructions)


class ComposeWish(_Part):
    """How the job's melodies should be arranged; what is left out is chosen by the product."""

    styles: Annotated[tuple[Literal["chorale", "pop"], ...], Field(min_length=1, max_length=2)] = ("chorale", "pop")
    candidates: Annotated[int, Field(ge=1, le=MOST_CANDIDATES)] = 3
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    groove: Text | None = None
    density: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    energy: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    chords: Annotated[str, StringConstraints(max_length=20_000)] | None = None  # a lead sheet: C | F G | C
    track: Text | None = None  # the melody's, by name or number

    @field_validator("styles")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(value))

    @field_validator("groove")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        from pipelines.composing.grooves import grooves

        if value is not None and value not in (known := grooves()):
            raise ValueError(f"{value!r} is none of {', '.join(known)}")
        return value


class JobFile(_Part):
    owner: Text
    consents: Consents = Consents()
    bpm: Annotated[float, Field(ge=20, le=400)] | None = None
    key: Annotated[str, StringConstraints(max_length=40), AfterValidator(_line)] | None = None
    files: Annotated[tuple[JobItem, ...], Field(min_length=1, max_length=500)]
    edit: EditWish = EditWish()
    master: MasterWish = MasterWish()
    score: ScoreWish = ScoreWish()
    compose: ComposeWish = ComposeWish()

    @model_validator(mode="after")
    def _told_how(self) -> JobFile:
        if not self.score.categories and any(item.kind == "sheet" for item in self.files):
            raise ValueError("lists a sheet, but says no score.categories")
        return self

    def outside(self) -> JobItem | None:
        """The first file that does not lie in the job's folder itself, if any."""
        return next((item for item in self.files if "/" in item.file), None)


def parse(data: bytes, what: object) -> JobFile:
    """The job file in these bytes; ``what`` names it in messages. Raises BadInput with the first thing to mend."""
    if len(data) > MAX_BYTES:
        raise BadInput(what, f"is larger than {MAX_BYTES // 1024} KB", REMEDY)
    try:
        raw = yaml.load(data, Loader=_Loader)  # noqa: S506 - a safe loader, narrowed
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(what, f"is not readable YAML ({_place(error)})", REMEDY) from error
    if not isinstance(raw, dict):
        raise BadInput(what, "does not say owner and files", REMEDY)
    try:
        job = JobFile.model_validate(raw)
    except ValidationError as error:
        raise BadInput(what, _first(error), REMEDY) from error
    names = [unicodedata.normalize("NFC", item.file) for item in job.files]
    if twice := next((name for i, name in enumerate(names) if name in names[:i]), None):
        raise BadInput(what, f"lists {twice} twice", REMEDY)
    return job


def dump(job: JobFile) -> bytes:
    """YAML that ``parse`` reads back to the same job."""
    plain = job.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(plain, allow_unicode=True, sort_keys=False).encode()


class _Loader(yaml.SafeLoader):
    """Plain data only: no alias (a few lines of them make gigabytes), no deep nesting, no key twice."""

    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.YAMLError("it is nested too deeply")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.YAMLError(f"{key.value} is given twice")
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}: {reason}" if mark else reason


def _first(error: ValidationError) -> str:
    """``files[2].kind: Input should be ...``: the place in the file and what is wrong there."""
    detail = error.errors(include_url=False, include_context=False)[0]
    place = ""
    for part in detail["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    if not sayable(place):
        place = ascii(place)
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "missing":
        return f"does not say {place}"
    if detail["type"] == "extra_forbidden":
        return f"says {place}, which is not known"
    message = f"{message[0].lower()}{message[1:]}"
    return f"{place}: {message}" if place else message
