"""A new job by a form: one page for each thing that one may want. With JavaScript the files come by tus and the form
names the uploads; without it the form brings the files themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.responses import JSONResponse, RedirectResponse, Response

from pipelines.errors import BadInput, NotFound, OrimonoError
from pipelines.intake import receiving
from serving.api import problems
from serving.api.callers import InHouse
from serving.api.exchange import MOST_BODY
from serving.api.house import House
from serving.api.problems import Refused
from serving.pages import csrf, rendering
from serving.pages.visits import Visit, visits
from serving.views import presets, submissions, uploads
from serving.wire.jobs import Job
from serving.wire.submissions import MOST_FILES, JobWish

router = APIRouter()
FORM_BYTES = 32 << 30  # that a form may bring at once; files one by one may be larger
Sender = Annotated[Visit, visits("jobs:write")]


@dataclass(frozen=True, slots=True)
class Slot:
    """Where files of one kind are put. ``accept`` only helps choosing: what a file is, its content says."""

    kind: str
    name: str
    accept: str
    hint: str
    needed: bool = True
    several: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    path: str
    name: str
    lead: str
    slots: tuple[Slot, ...]


_SOUND = "audio/*,.wav,.flac,.ogg,.mp3,.m4a,.aiff"
_TABLE = ".csv,.gz,.parquet"
TASKS = (
    Task(
        "edit",
        "Edit a video",
        "Clips are cut to the song, to its beat and words; you choose among several edits.",
        (
            Slot("music", "Song", _SOUND, "WAV, FLAC, OGG, MP3 or M4A."),
            Slot(
                "clip",
                "Clips",
                "video/*,.mov,.mp4,.webm,.mkv",
                "What there is to be seen; several at once.",
                several=True,
            ),
            Slot("lyrics", "Words", ".lrc,.srt,.txt", "LRC, SRT or plain text, in English or Japanese.", needed=False),
        ),
    ),
    Task(
        "master",
        "Master music",
        "Give a finished mix, or an instrumental and a vocal: these are laid onto each other first.",
        (
            Slot("mix", "Mix", _SOUND, "One or several finished mixes.", needed=False, several=True),
            Slot("inst", "Instrumental", _SOUND, "Only together with a vocal.", needed=False),
            Slot("vocal", "Vocal", _SOUND, "Only together with an instrumental.", needed=False),
        ),
    ),
    Task(
        "arrange",
        "Arrange a melody",
        "A tune becomes a chorale in four parts, or a song with bass, chords and drums.",
        (Slot("melody", "Melody", ".mid,.midi", "A MIDI file; several at once.", several=True),),
    ),
    Task(
        "score",
        "Score a sheet",
        "Every row of a table is judged by the categories that you name.",
        (Slot("sheet", "Sheet", ".csv,.xlsx,.parquet,.gz,.gsheet", "CSV, XLSX, Parquet, or a .gsheet link."),),
    ),
    Task(
        "catalogue",
        "Add to the catalogue",
        "Videos and who decided what, from which recommendations are learned.",
        (
            Slot("videos", "Videos", _TABLE, "A table with video_id, title, genres and more.", needed=False),
            Slot("decisions", "Decisions", _TABLE, "user_id, video_id, decision or rating, decided_at.", needed=False),
            Slot("tags", "Tags", _TABLE, "video_id and tag.", needed=False),
        ),
    ),
)


@router.get("/new")
def choose(request: Request, house: InHouse, visit: Sender) -> Response:
    return _page(request, visit, TASKS[0])


@router.get("/new/{what}")
def page(request: Request, house: InHouse, visit: Sender, what: str) -> Response:
    return _page(request, visit, _task(what))


async def _sent(request: Request, house: InHouse, visit: Sender) -> AsyncIterator[FormData]:
    """Larger files go to disk as they come, and from there when the answer is sent: there must be room for them before
    the first byte."""
    csrf.check_origin(request)
    length = request.headers.get("content-length")
    if length is None:
        raise Refused(411, "this form: does not say how long it is; send it with Content-Length")
    if int(length) > FORM_BYTES:
        raise Refused(413, f"this form: is larger than {FORM_BYTES >> 30} GB; turn JavaScript on, or send less at once")
    if int(length) > MOST_BODY:
        await run_in_threadpool(receiving.room, house.studio, int(length))
    async with request.form(max_files=MOST_FILES, max_fields=MOST_FILES + 100) as form:
        csrf.check_token(visit.csrf, form.get(csrf.FIELD))
        yield form


@router.get("/upload/{what}")
def again(what: str) -> Response:
    return RedirectResponse(f"/new/{_task(what).path}", 303)


@router.post("/upload/{what}")
def send(
    request: Request, house: InHouse, visit: Sender, what: str, form: Annotated[FormData, Depends(_sent)]
) -> Response:
    task = _task(what)
    scripted = "application/json" in request.headers.get("accept", "")
    try:
        job = _job(request, house, visit, task, form)
    except (BadInput, ValidationError) as error:
        sentence = _sentence(error)
        status = problems.status_of(error) if isinstance(error, OrimonoError) else 422
        if scripted:
            return problems.answer(status, sentence, problems.request_id(request))
        return _page(request, visit, task, status=status, form=form, error=sentence)
    to = f"/jobs/{quote(job.name)}"
    answer = rendering.back(request, to, "Sent. It is taken in within seconds; this page shows how far it is.")
    if scripted:
        told = JSONResponse({"job": job.name, "url": to}, 202, {"Location": to})
        told.raw_headers.extend(pair for pair in answer.raw_headers if pair[0] == b"set-cookie")
        return told
    return answer


def _job(request: Request, house: House, visit: Visit, task: Task, form: FormData) -> Job:
    files: list[dict[str, Any]] = []
    taken: list[str] = []
    try:
        for slot in task.slots:
            tags = _list(_text(form, f"tags_{slot.kind}"))
            named = form.getlist(f"upload_{slot.kind}")
            files.extend({"upload": str(given), "kind": slot.kind, "tags": tags} for given in named)
            for given in form.getlist(f"file_{slot.kind}"):
                if isinstance(given, UploadFile) and given.filename:
                    upload = uploads.take_file(
                        house, visit.caller, given.file, name=given.filename, kind=slot.kind, size=given.size or 0
                    )
                    taken.append(upload.id)
                    if upload.error:
                        raise BadInput(*_parts(given.filename, upload.error))
                    files.append({"upload": upload.id, "kind": slot.kind, "tags": tags})
            if slot.needed and not any(one["kind"] == slot.kind for one in files):
                raise BadInput(slot.name, "is missing", "choose a file for it")
        if not files:
            raise BadInput("the job", "has no file", f"choose one: {', '.join(slot.name for slot in task.slots)}")
        wish = JobWish.model_validate({"files": files, **_wishes(task.path, form)})
        return submissions.create_job(
            house, visit.caller, wish, request_id=problems.request_id(request), token=_text(form, "once")
        )
    except (OrimonoError, ValidationError):
        for one in taken:  # the next try brings them again
            uploads.drop_upload(house, visit.caller, one)
        raise


def _wishes(what: str, form: FormData) -> dict[str, Any]:
    """What was filled in; what was left out is left to the product."""
    wish: dict[str, Any] = {
        "title": _text(form, "title"),
        "owner": _text(form, "owner"),
        "bpm": _number(form, "bpm"),
        "consents": {"quality": "quality" in form, "training": "training" in form},
    }
    if what == "edit":
        patterns = [str(one) for one in form.getlist("patterns")]
        wish["edit"] = _given({"duration": _number(form, "duration"), "fps": _text(form, "fps"), "patterns": patterns})
    elif what == "master":
        wish["master"] = _given({"preset": _text(form, "preset")})
    elif what == "arrange":
        names = ("groove", "chords")
        wish["compose"] = _given(
            {
                "styles": [str(one) for one in form.getlist("styles")],
                "candidates": _number(form, "candidates"),
                **{name: _text(form, name) for name in names},
            }
        )
    elif what == "score":
        names = ("column", "instructions", "provider")
        wish["score"] = _given(
            {"categories": _list(_text(form, "categories")), **{name: _text(form, name) for name in names}}
        )
    return _given(wish)


def _page(
    request: Request, visit: Visit, task: Task, *, status: int = 200, form: FormData | None = None, error: str = ""
) -> Response:
    from secrets import token_urlsafe

    from pipelines.composing.grooves import grooves
    from pipelines.editing.patterns import patterns

    kept = {name: value for name, value in form.items() if isinstance(value, str)} if form is not None else {}
    many = {name: form.getlist(name) if form is not None else [] for name in ("patterns", "styles")}
    return rendering.render(
        request,
        "new_job.html",
        status=status,
        task=task,
        tasks=TASKS,
        error=error,
        kept=kept,
        many=many,
        once=token_urlsafe(16),
        patterns=tuple(patterns()),
        grooves=tuple(grooves()),
        presets=presets.list_presets().items if task.path == "master" else (),
    )


def _task(what: str) -> Task:
    for task in TASKS:
        if task.path == what:
            return task
    raise NotFound(f"/new/{what}", "does not exist", f"choose from {', '.join(task.path for task in TASKS)}")


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def _number(form: FormData, name: str) -> float | None:
    text = _text(form, name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise BadInput(name, f"is {text[:40]!r}, not a number", "write it in digits or leave it empty") from None
    return int(value) if value == int(value) else value


def _list(text: str) -> list[str]:
    return [one.strip() for one in text.replace("、", ",").split(",") if one.strip()]


def _given(wish: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in wish.items() if value not in ("", None, [])}


def _parts(name: str, error: str) -> tuple[str, str, str]:
    reason, _, remedy = error.removeprefix(f"{name}: ").rpartition("; ")
    return name, reason or remedy, remedy if reason else "choose another file"


def _sentence(error: BadInput | ValidationError) -> str:
    if isinstance(error, OrimonoError):
        return str(error)
    first = error.errors()[0]
    place = " ".join(str(part).replace("_", " ") for part in first["loc"])
    return f"{place}: {str(first['msg']).removeprefix('Value error, ')}; mend it and send the form again"
